// Keeps the figures of a page fresh and draws charts from its tables. Each page is whole without it.
"use strict";

(() => {
  const each = (selector, use) => document.querySelectorAll(selector).forEach(use);

  // --- figures

  function put(element, text) {
    if (element.textContent === text) return;
    element.textContent = text;
    element.classList.remove("fresh");
    void element.offsetWidth; // begins the animation anew
    element.classList.add("fresh");
  }

  function bar(svg, [used, reserved, kept]) {
    const place = (name, x, width) => {
      const part = svg.querySelector("." + name);
      part.setAttribute("x", x);
      part.setAttribute("width", width);
    };
    place("used", 0, used);
    place("kept", used, kept);
    place("reserved", used + kept, reserved);
  }

  function show(news) {
    const table = document.querySelector("[data-shape]");
    if (table && table.dataset.shape !== news.shape) {
      location.reload(); // other pools than the page was made for
      return;
    }
    each("[data-live]", (element) => {
      const text = news.texts[element.dataset.live];
      if (text !== undefined) put(element, text);
    });
    each("[data-bar]", (svg) => {
      const parts = news.bars[svg.dataset.bar];
      if (parts) bar(svg, parts);
    });
    each("[data-mark]", (link) => {
      link.classList.toggle("there", news.marks[link.dataset.mark] !== link.dataset.seen);
    });
    const state = document.getElementById("state");
    if (state) state.dataset.state = news.state;
  }

  // --- the stream: only while the page is seen, for a browser has few connections

  let source = null;
  let again = 0;

  function open() {
    clearTimeout(again);
    if (source || document.hidden || !document.getElementById("state")) return;
    source = new EventSource("/dashboard/live");
    source.addEventListener("news", (event) => {
      document.body.classList.remove("stale");
      show(JSON.parse(event.data));
    });
    source.addEventListener("end", () => {
      close();
      location.assign("/dashboard/sign-in");
    });
    source.onerror = () => {
      document.body.classList.add("stale");
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        again = setTimeout(open, 15000);
      }
    };
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
})();
