// A dialog over the page: Esc, the cross and a click beside it close it; the world waits.

/**
 * @param {HTMLDialogElement} dialog
 * @param {{opened: () => void, closed: () => void, leave: () => void}} page
 */
export function modal(dialog, { opened, closed, leave }) {
  const show = dialog.showModal.bind(dialog);
  let walked = false; // to its button with the keyboard, which then goes on from there
  dialog.showModal = () => {
    if (dialog.open) return;
    walked = document.activeElement.matches(":focus-visible");
    show();
    opened();
  };
  dialog.addEventListener("close", () => {
    closed();
    if (!walked) leave(); // or the next Space would press the button, not jump
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest(".shut")) dialog.close();
  });
  return dialog;
}
