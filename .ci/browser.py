"""Drives report pages in a browser. Called by .ci/browser.

Usage: browser.py CHROMIUM PAGE.html ...
"""

import os
import sys

from chromium import Browser, Page

SIZES = {
    "desktop": {"width": 1280, "height": 900},
    "phone": {"width": 390, "height": 844, "phone": True},
    "small phone": {"width": 320, "height": 640, "phone": True},
    "dark": {"width": 1280, "height": 900, "dark": True},
    "dark phone": {"width": 390, "height": 844, "dark": True, "phone": True},
}

# Numbers from 98 on are nobody's: the load, and whoever has no trial.
#
# Elements that reach beyond the window and do not scroll inside something that
# is meant to. What is read aloud only is moved out of sight on purpose.
TOO_WIDE = """
(() => {
  const out = [];
  const hidden = (one) => one.closest('.skip, thead, [hidden]');
  const scrolls = (one) => {
    for (let up = one.parentElement; up; up = up.parentElement) {
      const style = getComputedStyle(up);
      if (up !== document.body && up !== document.documentElement && style.overflowX !== 'visible') return true;
    }
    return false;
  };
  for (const one of document.querySelectorAll('body *')) {
    if (hidden(one) || !one.getClientRects().length) continue;
    const box = one.getBoundingClientRect();
    if (box.width && (box.right > WIDTH + 1 || box.left < -1) && !scrolls(one)) {
      out.push(`${one.tagName} ${one.className.baseVal ?? one.className} ${Math.round(box.left)}..${Math.round(box.right)} ${(one.textContent || '').trim().slice(0, 40)}`);
    }
  }
  if (document.documentElement.scrollWidth > WIDTH) out.push(`the page is ${document.documentElement.scrollWidth} wide`);
  return out.slice(0, 8);
})()
"""

# Texts of one drawing that lie upon each other, or leave the drawing.
CLASHES = """
(() => {
  const out = [];
  for (const svg of document.querySelectorAll('figure svg')) {
    if (!svg.getClientRects().length) continue;
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll('text')].map((one) => [one.textContent, one.getBoundingClientRect()]);
    texts.forEach(([a, one], at) => {
      if (one.left < frame.left - 3 || one.right > frame.right + 3 || one.top < frame.top - 3 || one.bottom > frame.bottom + 3)
        out.push(`${svg.closest('figure').id}: "${a}" leaves the picture`);
      for (const [b, two] of texts.slice(at + 1)) {
        const wide = Math.min(one.right, two.right) - Math.max(one.left, two.left);
        const high = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
        if (wide > 1 && high > 5) out.push(`${svg.closest('figure').id}: "${a}" lies upon "${b}"`);
      }
    });
  }
  return out.slice(0, 8);
})()
"""

# Contrast of every text against the nearest ground that is painted.
PALE = """
(() => {
  const channel = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const parse = (text) => { const m = text.match(/[\\d.]+/g); return m ? m.map(Number) : null; };
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (one) => {
    for (let up = one; up; up = up.parentElement) {
      const c = parse(getComputedStyle(up).backgroundColor);
      if (c && (c.length < 4 || c[3] > 0.99)) return c;
    }
    return [255, 255, 255];
  };
  const out = [];
  for (const one of document.querySelectorAll('body *')) {
    if (one.closest('svg') || !one.getClientRects().length) continue;
    if (![...one.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = getComputedStyle(one);
    const a = luminance(parse(style.color)), b = luminance(ground(one));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) out.push(`${ratio.toFixed(1)} ${one.tagName}.${one.className}: ${one.textContent.trim().slice(0, 40)}`);
  }
  return out.slice(0, 8);
})()
"""

# What somebody who cannot see needs: names of what can be reached, one heading
# of the first level and no level left out, one id each.
NAMELESS = """
(() => {
  const out = [];
  const levels = [...document.querySelectorAll('h1,h2,h3,h4')].map((one) => Number(one.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) out.push('not one h1');
  levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) out.push(`h${levels[at - 1]} then h${level}`); });
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  if (new Set(ids).size !== ids.length) out.push('an id is there twice');
  for (const one of document.querySelectorAll('[aria-labelledby]'))
    for (const id of one.getAttribute('aria-labelledby').split(' ')) if (!document.getElementById(id)) out.push(`no ${id}`);
  for (const one of document.querySelectorAll('a, button, [tabindex], svg[role=img]'))
    if (!(one.getAttribute('aria-label') || one.getAttribute('aria-labelledby') || one.textContent.trim())) out.push(`nameless ${one.outerHTML.slice(0, 60)}`);
  if (!document.documentElement.lang) out.push('no language');
  return out.slice(0, 8);
})()
"""


def tip(page):
    """What the box beside the pointer says; nothing where it is hidden."""
    return page.run("(() => { const t = document.querySelector('.tip'); return t.hidden ? '' : t.innerText; })()")


def middle(page, query, at=0.5, scroll=True):
    """The place of an element in the window, after scrolling to it; `at` of its width."""
    return page.run(
        f"""(async () => {{
          const one = [...document.querySelectorAll({query!r})].find((one) => one.getClientRects().length);
          if (!one) return null;
          if ({str(scroll).lower()}) {{
            one.scrollIntoView({{ block: 'center', behavior: 'instant' }});
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          }}
          const box = one.getBoundingClientRect();
          return [box.left + box.width * {at}, box.top + box.height / 2];
        }})()"""
    )


def off(page):
    """Numbers of the contenders that are dimmed, and of those that are not."""
    return page.run(
        """(() => {
          const of = (dim) => [...new Set([...document.querySelectorAll('[data-c]')]
            .filter((one) => one.classList.contains('off') === dim).map((one) => one.dataset.c))].filter((c) => Number(c) < 98).sort();
          return [of(true), of(false)];
        })()"""
    )


class Drive:
    """One page at one size; what is wrong is collected."""

    def __init__(self, page, label):
        self.page, self.label, self.problems = page, label, []

    def hold(self, holds, text):
        if not holds:
            self.problems.append(f"{self.label}: {text}")

    def none(self, script, what):
        # The window of a phone grows with what is too wide for it.
        found = self.page.run(script.replace("WIDTH", str(self.page.width)))
        self.hold(not found, f"{what}: {found}")

    def all(self):
        self.none(TOO_WIDE, "reaches beyond the window")
        self.none(CLASHES, "labels clash")
        self.none(PALE, "too pale")
        self.none(NAMELESS, "cannot be told")
        self.folds()
        figures = self.page.run("[...document.querySelectorAll('figure')].map((one) => one.id)")
        for name in figures:
            self.hover(name)
        if figures:
            self.keys(figures[0])
        self.isolate(figures)
        self.none(TOO_WIDE, "reaches beyond the window with everything open")
        self.hold(not self.page.requests(), f"asks for {self.page.requests()}")
        self.hold(not self.page.complaints(), f"complains: {self.page.complaints()}")

    def folds(self):
        """Every fold opens by a click on its summary and closes by Enter."""
        page = self.page
        closed = page.run("document.querySelectorAll('details:not([open])').length")
        if closed:
            place = middle(page, "details:not([open]) > summary", 0.1)
            page.run("window.fold = [...document.querySelectorAll('details:not([open])')].find((one) => one.getClientRects().length)")
            page.click(*place)
            self.hold(page.run("fold.open"), "a fold does not open by a click")
            page.run("fold.querySelector('summary').focus()")
            page.key("Enter")
            self.hold(not page.run("fold.open"), "a fold does not close by Enter")
        page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")

    def hover(self, name):
        """A pointer over a chart shows values, and they go when it leaves."""
        page = self.page
        seen = set()
        for at in (0.25, 0.4, 0.55):
            place = middle(page, f"#{name} svg", at)
            page.mouse("mouseMoved", *place)
            seen.add(tip(page))
        if page.run(f"!!JSON.parse(document.getElementById('data').textContent)['{name}'].bars"):
            place = middle(page, f"#{name} svg g[data-c] rect")
            page.mouse("mouseMoved", *place)
            seen.add(tip(page))
        said = [text for text in seen if text]
        self.hold(said, f"{name}: no values under the pointer")
        self.hold(all(any(c.isdigit() for c in text) for text in said), f"{name}: no figure in {said}")
        self.hold(not any("NaN" in text or "undefined" in text for text in said), f"{name}: {said}")
        page.mouse("mouseMoved", 2, 2)
        self.hold(tip(page) == "", f"{name}: values stay when the pointer has left")

    def keys(self, name):
        """Arrow keys walk through a chart; Escape ends it."""
        page = self.page
        middle(page, f"#{name} svg")
        page.run(f"document.querySelector('#{name} .canvas').focus({{ preventScroll: true }})")
        page.key("ArrowLeft")
        first = tip(page)
        page.key("ArrowLeft")
        second = tip(page)
        self.hold(first and second, f"{name}: arrow keys show nothing")
        places = page.run(
            f"(() => {{ const c = JSON.parse(document.getElementById('data').textContent)['{name}'];"
            "return c.bars ? c.bars.length : new Set(c.series.flatMap((s) => s.p.map((p) => p[0]))).size; })()"
        )
        self.hold(first != second or not first or places < 3, f"{name}: arrow keys do not move")
        page.key("Escape")
        self.hold(tip(page) == "", f"{name}: Escape does not hide the values")

    def isolate(self, figures):
        """A chip, a line, a key: each shows one contender alone."""
        page = self.page
        count = page.run("document.querySelectorAll('.chip:not(.all)').length")
        if not count:
            return
        dimmed, clear = off(page)
        self.hold(not dimmed, "somebody is dimmed at first")
        place = middle(page, ".chip:not(.all)")
        page.click(*place)
        dimmed, clear = off(page)
        self.hold(clear == ["0"], f"a chip leaves {clear} bright")
        self.hold(len(dimmed) == count - 1, f"a chip dims {dimmed} of {count}")
        self.hold(page.run("document.querySelector('.chip').getAttribute('aria-pressed')") == "true", "a chip does not say so")
        if count > 1:
            dark = page.run("(() => { const one = document.querySelector('tr.off, article.off'); return one && Number(getComputedStyle(one).opacity); })()")
            self.hold(dark is None or dark < 0.6, f"what is dimmed is {dark} opaque")
        self.none(TOO_WIDE, "reaches beyond the window with one alone")
        page.click(*middle(page, ".chip.all"))
        self.hold(off(page)[0] == [], "all is not shown again")
        page.run("document.querySelector('.chip').focus()")
        page.key("Enter")
        self.hold(off(page)[1] == ["0"], "Enter on a chip shows nobody alone")
        page.key("Escape")
        self.hold(off(page)[0] == [], "Escape does not show all")
        if figures:
            place = middle(page, f"#{figures[0]} svg g.name[data-c='0'] text")
            page.click(*place)
            self.hold(off(page)[1] == ["0"], "a click on a line's name shows nobody alone")
            page.key("Escape")


def shots(page, folder, name):
    os.makedirs(folder, exist_ok=True)
    page.picture(os.path.join(folder, f"{name}.png"))


def main():
    program, *files = sys.argv[1:]
    problems, driven = [], 0
    with Browser(program) as browser:
        for file in files:
            stem = os.path.splitext(os.path.basename(file))[0]
            for size, how in SIZES.items():
                page = Page(browser, file, **how)
                if "SHOTS" in os.environ:
                    shots(page, os.environ["SHOTS"], f"{stem}-{size.replace(' ', '-')}")
                drive = Drive(page, f"{stem}, {size}")
                drive.all()
                problems += drive.problems
                driven += 1
                page.close()
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(f"{len(problems)} problems on {driven} pages")
    print(f"{driven} pages driven: nothing to complain about")


main()
