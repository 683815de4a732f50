"""Builds the site: the guide from `docs/*.md`, the API reference from the docstrings.

A link to a page or a heading that does not exist ends the build, and so does
every warning when it runs as `make docs` runs it (`python -W error`).
"""

import re
import shutil
import sys
from pathlib import Path

import markdown2
import pdoc

HERE = Path(__file__).parent
EXTRAS = ["fenced-code-blocks", "header-ids", "tables"]
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · worldloom</title><style>{style}</style></head>
<body><nav>{menu}</nav><main>{body}</main></body></html>
"""
STYLE = """
body{font:16px/1.6 system-ui,sans-serif;margin:0;display:flex;color:#222;background:#fff}
nav{padding:2rem 1rem 2rem 2rem;min-width:11rem}nav a{display:block}
main{max-width:46rem;padding:1rem 2rem 4rem;min-width:0}a{color:#0b57a4}
pre{background:#f5f5f3;padding:.8rem 1rem;overflow:auto}code{font-size:.92em}
table{border-collapse:collapse}
td,th{border-bottom:1px solid #ddd;padding:.25rem .8rem;text-align:left}
img{max-width:100%}
"""
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


def title(text: str) -> str:
    """The first heading of a page."""
    return re.sub("[`*]", "", text.partition("\n")[0].lstrip("# "))


def anchors(text: str) -> set[str]:
    """The ids that the headings of a page get."""
    return set(re.findall(r'<h\d id="([^"]+)"', markdown2.markdown(text, extras=EXTRAS)))


def prose(text: str) -> str:
    """The page without its code, in which brackets mean other things."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.S))


def broken_links(path: Path) -> list[str]:
    """Links of one page to files, pages or headings that do not exist.

    `api/…` leads into the API reference, which is built beside the guide.
    """
    broken = []
    text = prose(path.read_text())
    for target in LINK.findall(text) + IMAGE.findall(text):
        file, _, anchor = target.partition("#")
        if "://" in file or (file.startswith("api/") and path.parent == HERE):
            continue
        other = path.parent / file if file else path
        missing = anchor and other.suffix == ".md" and other.exists()
        if not other.exists() or (missing and anchor not in anchors(other.read_text())):
            broken.append(f"{path.name}: {target}")
    return broken


def pages() -> list[Path]:
    """The guide: the index, then the concepts, then the rest by name."""
    first = ["index", "concepts"]
    rank = {name: i for i, name in enumerate(first)}
    return sorted(HERE.glob("*.md"), key=lambda p: (rank.get(p.stem, len(first)), p.stem))


def menu() -> str:
    """The links to every page."""
    links = [(f"{p.stem}.html", title(p.read_text())) for p in pages()]
    return "".join(f'<a href="{href}">{name}</a>' for href, name in links) + (
        '<a href="api/worldloom.html">API reference</a>'
    )


def guide(site: Path) -> None:
    """Writes one HTML page for each page of the guide."""
    broken = [link for path in pages() for link in broken_links(path)]
    if broken:
        raise SystemExit("broken links:\n" + "\n".join(broken))
    for path in pages():
        text = path.read_text()
        body = str(markdown2.markdown(text, extras=EXTRAS))
        body = re.sub(r'href="([\w-]+)\.md(#[^"]*)?"', r'href="\1.html\2"', body)
        page = PAGE.format(title=title(text), style=STYLE, menu=menu(), body=body)
        (site / f"{path.stem}.html").write_text(page)
    for beside in ("images", "reports"):
        if (HERE / beside).exists():
            shutil.copytree(HERE / beside, site / beside, dirs_exist_ok=True)


def reference(site: Path) -> None:
    """Writes the API reference, and checks that the guide's links into it exist."""
    pdoc.render.configure(docformat="google", search=False, show_source=True)
    pdoc.pdoc("worldloom", output_directory=site / "api")
    for path in pages():
        for target in LINK.findall(prose(path.read_text())):
            file, _, anchor = target.partition("#")
            if file.startswith("api/"):
                there = site / file
                if not there.exists() or (anchor and f'id="{anchor}"' not in there.read_text()):
                    raise SystemExit(f"broken link in {path.name}: {target}")


def main() -> None:
    """`python docs/build.py SITE`."""
    site = Path(sys.argv[1])
    site.mkdir(parents=True, exist_ok=True)
    guide(site)
    reference(site)
    print(f"wrote {site}/index.html")


if __name__ == "__main__":
    main()
