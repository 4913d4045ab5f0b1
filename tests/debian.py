# SPDX-License-Identifier: MIT
"""A Debian 12 of its own in a folder, from the mirror that this machine uses. Needs root."""
import os
import re
import shutil
import subprocess
import sys


def run(*words, **more):
    """Its standard output; what it said is shown if it fails, and this program ends."""
    ended = subprocess.run([str(each) for each in words], text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, **more)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))} ended with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def enter():
    """Has this program again in mount and process name spaces of its own, so that nothing mounted or started is left."""
    if "MILLRACE_DEBIAN" in os.environ:
        return
    inner = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, *sys.argv],
                           env={**os.environ, "MILLRACE_DEBIAN": "entered"})
    sys.exit(inner.returncode)


def mirrors():
    """Lines of sources.list, of Debian 12 as this machine has it."""
    lines = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages",
                "Origin: Debian").split("\n")
    found = sorted({line for line in lines if re.search(r" bookworm(-\S+)? main$", line)}, key=lambda line: len(line.split()[1]))
    if not found or found[0].split()[1] != "bookworm":
        sys.exit("this machine's apt has no Debian 12")
    return found


class Debian:
    """Programs see the folder as their root."""

    def __init__(self, root):
        self.root = root

    def make(self, cache, *packages):
        """The smallest one, and these; packages that were fetched are kept in `cache`."""
        sources = mirrors()
        cache.mkdir(parents=True, exist_ok=True)
        run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", f"--cache-dir={cache}", "bookworm", self.root,
            sources[0].split()[0])
        (self.root / "etc/apt/sources.list").write_text("".join(f"deb {line}\n" for line in sources))

    def open(self):
        """So that programs run in it, and reach the mirror."""
        for each in ["etc/resolv.conf", "etc/hosts"]:
            shutil.copy("/" + each, self.root / each)
        (self.root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)
        run("mount", "-t", "proc", "proc", self.root / "proc")

    def run(self, *words):
        return run("chroot", self.root, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *words)

    def install(self, *packages):
        self.run("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
