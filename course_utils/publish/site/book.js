// What is folded on the screen is open on paper.
addEventListener("beforeprint", () => {
  for (const e of document.querySelectorAll("details")) e.open = true;
});

// On a telephone a figure is small: a tap shows it wider than the screen, to look at by parts.
addEventListener("DOMContentLoaded", () => {
  const large = document.createElement("dialog");
  large.className = "large";
  large.tabIndex = 0; // scrolls by keyboard
  for (const way of ["click", "keydown"]) {
    large.addEventListener(way, (e) => (e.key || "Escape") === "Escape" && large.close());
  }
  document.body.append(large);
  for (const img of document.querySelectorAll(".cell_output img")) {
    const show = () => {
      const again = img.cloneNode();
      large.replaceChildren(again);
      large.showModal();
    };
    const button = document.createElement("button");
    button.className = "enlarge";
    button.textContent = "⤢ enlarge";
    button.addEventListener("click", show);
    img.addEventListener("click", show);
    img.after(button);
  }
});

// A formula that is wider than the page gets smaller letters, down to 0.62; the rest scrolls, and
// says so.
const fitFormulas = () => {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    const box = formula.parentElement;
    formula.style.fontSize = "";
    box.classList.remove("wide");
    const wanted = formula.querySelector("svg").getBoundingClientRect().width;
    const room = box.clientWidth;
    if (!room || wanted <= room) continue;
    formula.style.fontSize = `${100 * Math.max(0.62, (0.98 * room) / wanted)}%`;
    box.classList.toggle("wide", 0.62 * wanted > room);
  }
};
addEventListener("load", () => {
  window.MathJax?.startup?.promise?.then(fitFormulas);
  addEventListener("resize", fitFormulas);
});
