"""What a browser would find in a page."""

from html.parser import HTMLParser

LOADS = {"src", "srcset", "poster", "data", "action", "background"}


class Page(HTMLParser):
    """Collects what a browser would load, the text, the ids and the tags that are left open."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "hr", "wbr"})

    def __init__(self, html):
        super().__init__()
        self.loads, self.links, self.ids, self.text, self.open, self.tags = [], [], [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for key, value in attrs:
            if key in LOADS or (key.endswith("href") and tag != "a"):
                self.loads.append(value)
            elif key == "href":
                self.links.append(value)
            if key == "id":
                self.ids.append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of(html):
    """The text of a page, in one line."""
    return " ".join(" ".join(Page(html).text).split())
