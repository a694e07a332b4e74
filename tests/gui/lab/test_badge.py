"""What a badge says of the machine."""

from __future__ import annotations

from gui.lab.badge import device_text


def test_a_gpu_does_not_hide_the_processor_beside_it() -> None:
    told = device_text({"device_name": "RTX 4060", "cpu": "Ryzen 7", "threads": 8, "torch": "2.13.0"})
    assert told == "RTX 4060 + Ryzen 7 · 8 threads · torch 2.13.0"
    assert device_text({"device_name": None, "cpu": "Ryzen 7"}) == "Ryzen 7"
    assert device_text({"device": "cpu"}) == "cpu" and device_text({}) == ""
