// A dialog over the page: Esc, the cross and a click beside it close it; the world waits.

/**
 * @param {HTMLDialogElement} dialog
 * @param {{opened: () => void, closed: () => void}} page
 */
export function modal(dialog, { opened, closed }) {
  const show = dialog.showModal.bind(dialog);
  dialog.showModal = () => {
    if (dialog.open) return;
    show();
    opened();
  };
  dialog.addEventListener("close", closed);
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest(".shut")) dialog.close();
  });
  return dialog;
}
