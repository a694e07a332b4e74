"""The peer of the start: a QMainWindow with a QTreeWidget of ``depth<TAB>open<TAB>title`` lines.

Imports no more than it must: what it costs is what Qt for Python costs.
"""

from __future__ import annotations

import sys

from PySide6.QtWidgets import QApplication, QMainWindow, QTreeWidget, QTreeWidgetItem

from tests.benchmarks.start_report import report_start


def main(nodes: str) -> int:
    """``open`` is 1 for a node whose children are in sight."""
    app = QApplication(sys.argv[:1])
    window = QMainWindow()
    tree = QTreeWidget()
    tree.setHeaderHidden(True)
    above: list[QTreeWidgetItem] = []
    opened = []
    with open(nodes, encoding="utf-8") as lines:
        for line in lines:
            depth, is_open, title = line.rstrip("\n").split("\t")
            item = QTreeWidgetItem([title])
            del above[int(depth) :]
            if above:
                above[-1].addChild(item)
            else:
                tree.addTopLevelItem(item)
            above.append(item)
            if is_open == "1":
                opened.append(item)
    for item in opened:
        item.setExpanded(True)
    window.setCentralWidget(tree)
    window.resize(1280, 800)
    report_start(window)
    window.show()
    return app.exec()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
