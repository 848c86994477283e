"""The invented geography that its benchmark imports."""

import subprocess
import sys
from pathlib import Path

from loadtests.bench_places import make

ROOT = Path(__file__).parents[2]


def test_the_same_seed_makes_the_same_files_and_another_makes_others(tmp_path):
    contents = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        make(folder, 50, seed)
        contents.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert contents[0] == contents[1] != contents[2]


def test_the_benchmark_imports_all_of_it_and_finds_names():
    command = [sys.executable, "-m", "loadtests.bench_places", "--villages", "500"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "725 places stand, 725 lines are new, 0 places end" in done.stdout
    assert "0 lines are new" in done.stdout
    assert "1500 searches: " in done.stdout
