"use strict";
(() => {
  const articles = [...document.querySelectorAll("article")];
  const search = document.getElementById("search");
  const count = document.getElementById("count");
  const contents = document.getElementById("contents");
  const links = new Map(
    [...contents.querySelectorAll("a")].map((a) => [a.hash.slice(1), a]));
  const words = new Map(articles.map((a) => [a, a.textContent.toLowerCase()]));
  let current = -1;

  const shown = () => articles.filter((article) => !article.hidden);

  function mark(article) {
    for (const link of links.values()) link.removeAttribute("aria-current");
    const link = article && links.get(article.id);
    if (!link) return;
    link.setAttribute("aria-current", "true");
    if (contents.open && innerWidth > 900) link.scrollIntoView({ block: "nearest" });
  }

  function show(article) {
    current = articles.indexOf(article);
    if (location.hash.slice(1) !== article.id) history.replaceState(null, "", "#" + article.id);
    article.scrollIntoView();
    article.focus({ preventScroll: true });
    mark(article);
  }

  function step(by) {
    const list = shown();
    if (!list.length) return;
    const at = list.indexOf(articles[current]);
    const next = at < 0 ? (by > 0 ? 0 : list.length - 1)
      : Math.min(Math.max(at + by, 0), list.length - 1);
    show(list[next]);
  }

  function filter() {
    const wanted = search.value.toLowerCase().trim().split(/\s+/).filter(Boolean);
    const ids = new Set(articles.map((a) => a.id.toLowerCase()));
    for (const article of articles) {
      // A word that is an id means that listing, and not every line that has it.
      const has = (word) => ids.has(word) ? article.id.toLowerCase() === word
        : words.get(article).includes(word);
      article.hidden = !wanted.every(has);
      links.get(article.id).hidden = article.hidden;
    }
    for (const section of contents.querySelectorAll("section")) {
      section.hidden = !section.querySelector("a:not([hidden])");
    }
    count.textContent = wanted.length ? `${shown().length} of ${articles.length}` : "";
  }

  function fromHash() {
    const article = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!article || !articles.includes(article)) return;
    if (article.hidden) { search.value = ""; filter(); }
    show(article);
  }

  search.addEventListener("input", filter);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && shown().length) { search.blur(); show(shown()[0]); }
    if (event.key === "Escape") { search.value = ""; filter(); search.blur(); }
  });
  addEventListener("keydown", (event) => {
    if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j" || event.key === "n") step(1);
    else if (event.key === "k" || event.key === "p") step(-1);
    else if (event.key === "/") { event.preventDefault(); search.focus(); search.select(); }
  });
  addEventListener("hashchange", fromHash);
  addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
    } catch {
      // A page from the disk may be refused the clipboard: leave the text selected.
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  if (innerWidth <= 900) contents.open = false;
  fromHash();
})();
