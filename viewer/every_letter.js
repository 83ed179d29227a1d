// Of what a panel's inputs say within 50 ms, viser's page sends only the newest: the last letters give way to the Enter
// after them, and on a page that is busy drawing so does the whole question. Text therefore also goes out as it is
// typed, ahead of whatever follows it.
(() => {
  const TEXT = ".mantine-TextInput-input, .mantine-Textarea-input";
  const post = Worker.prototype.postMessage;
  let socket = null;
  Worker.prototype.postMessage = function (data, ...rest) {
    if (data && data.type === "set_server") socket = this;
    return post.call(this, data, ...rest);
  };
  const nameOf = (input) => {
    let box = input.parentElement;
    while (box && !box.querySelector("label[for]")) box = box.parentElement;
    return box && box.querySelector("label[for]").htmlFor;
  };
  addEventListener("input", ({ target }) => {
    if (!socket || !target.matches(TEXT)) return;
    const uuid = nameOf(target);
    if (!uuid || uuid.startsWith("mantine-")) return; // of viser's own settings
    const message = { type: "GuiUpdateMessage", uuid, updates: { value: target.value } };
    post.call(socket, { type: "send", message });
  }, true);
})();
