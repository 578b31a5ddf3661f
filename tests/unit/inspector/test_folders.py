"""Folders that another user could have prepared."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from inspector.errors import ConfigError
from inspector.folders import make_own_folder, refuse_foreign_folder, share_with_group

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o770, 0o2770])
def test_an_own_folder_is_taken(tmp_path: Path, mode: int) -> None:
    """Also where others may look, or this process's group may write; and where it is not there yet."""
    refuse_foreign_folder(tmp_path / "none")
    folder = tmp_path / "links"
    folder.mkdir()
    folder.chmod(mode)
    refuse_foreign_folder(folder)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    """It is refused even if this user owns it."""
    folder = tmp_path / "links"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigError, match=rf"^links: {folder}: every user can write to it .*mode {mode:04o}"):
        refuse_foreign_folder(folder)
    with pytest.raises(ConfigError, match="every user can write to it"):
        make_own_folder(folder)


@needs_root
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_another_users_folder_is_refused(tmp_path: Path, mode: int) -> None:
    """Its owner can change the mode at any time; a link of another user counts as theirs, wherever it leads."""
    folder, own = tmp_path / "links", tmp_path / "own"
    folder.mkdir(mode=mode)
    own.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(ConfigError, match=r"belongs to another user \(user 65534"):
        refuse_foreign_folder(folder)
    link = tmp_path / "link"
    link.symlink_to(own)
    refuse_foreign_folder(link)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(ConfigError, match="belongs to another user"):
        refuse_foreign_folder(link)


PROGRAM = """
import sys
from pathlib import Path
from inspector.errors import ConfigError
from inspector.folders import is_of_root, refuse_foreign_folder
assert is_of_root(Path(sys.argv[1]))
try:
    refuse_foreign_folder(Path(sys.argv[1]))
except ConfigError as error:
    sys.exit(str(error))
"""


@needs_root
@pytest.mark.parametrize(("groups", "said"), [("54321", ""), ("54322", "a group that this process is not in")])
def test_a_group_that_may_write_must_be_the_processs_own(groups: str, said: str) -> None:
    """A folder of root is shared by its group: the stages of a service are in it, strangers are not."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "links"
        folder.mkdir()
        os.chown(folder, 0, 54321)
        folder.chmod(0o1770)
        refuse_foreign_folder(folder)  # root is in every group
        caps = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # the interpreter may be root's
        become = ["setpriv", "--reuid=12345", "--regid=12345", f"--groups={groups}", *caps]
        command = [*become, sys.executable, "-c", PROGRAM, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3])
        assert said in done.stderr
        assert (done.returncode == 0) == (not said)


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    """Any other kind of file is refused in one line."""
    (tmp_path / "links").write_text("")
    with pytest.raises(ConfigError, match="is not a folder"):
        refuse_foreign_folder(tmp_path / "links")


def test_folders_above_are_made_private_too(tmp_path: Path) -> None:
    """A user who may write to a parent folder could replace the folder."""
    make_own_folder(tmp_path / "a" / "b")
    assert [(tmp_path / each).stat().st_mode & 0o777 for each in ("a", "a/b")] == [0o700, 0o700]


@pytest.mark.parametrize(("folder_mode", "mode"), [(0o700, 0o600), (0o755, 0o600), (0o2770, 0o660)])
def test_a_socket_is_shared_where_its_folder_gives_its_group(tmp_path: Path, folder_mode: int, mode: int) -> None:
    """Whatever the umask: a service's folders are setgid, a user's own are not."""
    folder = tmp_path / "results"
    folder.mkdir()
    folder.chmod(folder_mode)
    before = os.umask(0o077)
    try:
        (folder / "socket").write_text("")
        share_with_group(folder / "socket")
    finally:
        os.umask(before)
    assert (folder / "socket").stat().st_mode & 0o777 == mode
