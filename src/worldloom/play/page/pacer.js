// When to draw: frames arrive unevenly, the eye wants them even. Buffers nothing.

const WEIGHT = 0.2;

export class Pacer {
  /**
   * @param {(picture) => void} draw
   * @param {(callback) => void} nextFrame such as requestAnimationFrame
   */
  constructor(draw, nextFrame) {
    this.draw = draw;
    this.nextFrame = nextFrame;
    this.pending = null;
    this.reset();
  }

  /** Forgets the rhythm, after a pause, a reset or a hidden tab: the gap is no interval. */
  reset() {
    this.interval = null;
    this.arrived = null;
    this.due = null;
  }

  /** A picture is there; it replaces one that was not drawn yet. */
  offer(picture, now) {
    if (this.arrived !== null) {
      const gap = now - this.arrived;
      this.interval = this.interval === null ? gap : this.interval + WEIGHT * (gap - this.interval);
    }
    this.arrived = now;
    const waiting = this.pending !== null;
    this.pending = picture;
    if (waiting) return;
    // Absolute deadlines, never further away than half an interval: a late
    // frame moves them, and they creep back instead of keeping its delay.
    const half = (this.interval ?? 0) / 2;
    this.due = this.due === null ? now : Math.min(this.due + (this.interval ?? 0), now + half);
    if (this.due < now) this.due = now;
    this.nextFrame((time) => this.turn(time));
  }

  turn(now) {
    if (this.pending === null) return;
    // Half a display frame early is nearer to the deadline than a whole one late.
    if (this.due !== null && now + 8 < this.due) return this.nextFrame((time) => this.turn(time));
    const picture = this.pending;
    this.pending = null;
    this.draw(picture);
  }
}
