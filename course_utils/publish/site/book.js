// What is folded on the screen is open on paper.
addEventListener("beforeprint", () => {
  for (const e of document.querySelectorAll("details")) e.open = true;
});
