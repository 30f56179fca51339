#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line that goes through the daemon: panal ls, start, stop, console, top.

    tests/interop/tool.py            everything
    tests/interop/tool.py NAME...    those whose name contains one of these
"""

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

from panald import BUILD, PATIENCE, Failure, Panald, domain_xml, expect, expect_equal, run_tests, wait_for

with socket.socket() as free:  # a port that nobody has now
    free.bind(("127.0.0.1", 0))
    PORT = free.getsockname()[1]
FORWARD = (f"<interface type='user'><portForward proto='tcp'><range start='{PORT}' to='22'/></portForward></interface>")


def panal(p, *args, status=0, text=None, language="en", timeout=90, more=()):
    environment = dict(os.environ, PANAL_URI=p.uri("virtpanald-sock"), LC_ALL="C.UTF-8", LANGUAGE=language, **dict(more))
    try:
        done = subprocess.run([os.path.join(BUILD, "panal"), *args], capture_output=True, text=True, timeout=timeout * PATIENCE,
                              input=text, stdin=subprocess.DEVNULL if text is None else None, env=environment)
    except subprocess.TimeoutExpired:
        raise Failure(f"panal {' '.join(args)} hangs") from None
    if done.returncode != status:
        raise Failure(f"panal {' '.join(args)}: status {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def define(p, name, **more):
    path = p.path(name + ".xml")
    with open(path, "w", encoding="ascii") as f:
        f.write(domain_xml(name, **more))
    p.virsh("define", path)


def list_machines():
    with Panald() as p:
        expect("no machine yet" in panal(p, "ls"), "an empty list")
        expect_equal(json.loads(panal(p, "ls", "--json")), [], "an empty list for scripts")
        define(p, "web1", devices=FORWARD)
        define(p, "a-second-one")
        lines = panal(p, "ls").splitlines()
        expect_equal(lines[0].split(), ["NAME", "STATE", "CPUS", "MEMORY", "ADDRESS"], "heads")
        expect_equal(lines[1].split(), ["a-second-one", "off", "1", "192", "MiB"], "a machine")
        panal(p, "start", "web1")
        expect(f"localhost:{PORT}" in panal(p, "ls"), "the way into the guest")
        row = json.loads(panal(p, "ls", "--json"))[1]
        expect_equal((row["name"], row["state"], row["memory"], row["ssh-port"]), ("web1", "running", 192 << 20, PORT), "row")


def spanish():
    with Panald() as p:
        define(p, "una")
        out = panal(p, "ls", language="es")
        expect("NOMBRE" in out and "apagada" in out, out)
        expect("no existe la máquina dos" in panal(p, "start", "dos", language="es", status=1), "an error")
        said = panal(p, "clone", "una", "una", language="es", status=1) + panal(p, "stop", "una", language="es", status=1)
        expect("already" not in said and "is off" not in said and "virt-clone" in said, said)
        define(p, "dos", devices="<disk type='file' device='disk'><source file='/nowhere/d.raw'/><target dev='vda'/></disk>")
        said = panal(p, "start", "dos", language="es", status=1)  # the engine's word, by the daemon
        expect("no existe" in said and "No such file" not in said and "does not exist" not in said, said)
        said = panal(p, "run", "--disk", "/nowhere/d.raw", "--kernel", "/nowhere", language="es", status=1)
        expect("no existe" in said or "No existe" in said, said)
        expect("uso: panal run" in panal(p, "run", "--help", language="es"), "the options of run")
        panal(p, "start", "una")
        said = panal(p, "start", "una", language="es", status=1)
        expect("already" not in said and "not valid" not in said, said)
        panal(p, "stop", "--force", "una")
        row = json.loads(panal(p, "ls", "--json", language="es"))[1]
        expect_equal(row["state"], "off", "what scripts read stays English")
        said = panal(p, "doctor", language="es")
        expect("OK   verdict " in said and "pueden funcionar máquinas" in said and "machines can run" not in said, said)
        checks = {lang: json.loads(panal(p, "doctor", "--json", language=lang))["checks"] for lang in ("en", "es")}
        expect_equal(*([(c["id"], c["status"]) for c in checks[lang] if c["id"] != "kvm-speed"] for lang in ("en", "es")), "what scripts read")


def plain(*args, **more):
    return subprocess.run(args, capture_output=True, text=True, check=True, timeout=60 * PATIENCE, stdin=subprocess.DEVNULL, **more).stdout


def type_and_tab(script, environment, *lines):
    """What zsh makes of each line when the tabulator key is pressed behind it."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(environment, TERM="dumb", PS1="")
        os.execvp("zsh", ["zsh", "-f", "-i"])
    found, seen = [], ""

    def until(wanted):
        nonlocal seen
        deadline = time.monotonic() + 60
        while wanted not in seen:
            expect(time.monotonic() < deadline and select.select([fd], [], [], 60)[0], f"zsh says no {wanted}: {seen[-400:]}")
            seen += os.read(fd, 4096).decode(errors="replace")
        begin, seen = seen.split(wanted, 1)
        return begin

    try:
        os.write(fd, f"unsetopt zle prompt_sp; autoload -U compinit; compinit -u -D; source {script}; setopt zle; print read''y\n".encode())
        until("ready")
        for line in lines:
            # Control-A puts what prints the completed line before it, instead of the command itself being run.
            os.write(fd, line.encode() + b"\t\x01print -r -- '<' \x05'>'\n")
            until("\n< ")
            found.append(until(">").strip())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)
    return found


def completion():
    """Each command's options and words in each shell that is here, from what panal prints; the machines' names too."""
    program = os.path.join(BUILD, "panal")
    listed = re.findall(r"^  ([a-z]+) ", plain(program, "help", env={**os.environ, "LC_ALL": "C"}), re.M)
    with Panald() as p:
        define(p, "web1")
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "PANAL_URI": p.uri("virtpanald-sock"), "PATH": f"{BUILD}:{os.environ['PATH']}"}
        scripts = {shell: p.path(shell) for shell in ("bash", "zsh", "fish")}
        for shell, path in scripts.items():
            with open(path, "w", encoding="utf-8") as f:
                f.write(plain(program, "completion", shell, env=environment))

        def bash(*words):
            code = ("source $0; COMP_WORDS=(panal \"$@\"); COMP_CWORD=$#; _panal; printf '%s\\n' \"${COMPREPLY[@]}\"")
            return plain("bash", "-c", code, scripts["bash"], *words, env=environment).split()

        def fish(line):
            return [x.split("\t")[0] for x in plain("fish", "-N", "-c", f"source {scripts['fish']}; complete -C '{line}'", env=environment).splitlines()]

        expect_equal(bash(""), listed, "commands in bash")
        for command in set(listed) - {"version", "help"}:
            said = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", plain(program, command, "--help", env={**os.environ, "LC_ALL": "C"})))
            if command not in ("delete", "undelete", "run"):  # two commands share a help; run's are all of its help
                expect(said <= set(bash(command, "--")), f"{command}: {said - set(bash(command, '--'))}")
        expect_equal((bash("start", ""), bash("image", "c"), bash("stop", "--f")), (["web1"], ["create", "check", "convert"], ["--force"]), "bash")
        expect("--firmware-vars" in bash("run", "--firm"), "options of run in bash")
        if shutil.which("fish"):
            expect_equal(sorted(fish("panal ")), sorted(listed), "commands in fish")
            expect_equal((fish("panal start "), fish("panal stop --f"), fish("panal image res")), (["web1"], ["--force"], ["resize"]), "fish")
            expect("--firmware-vars" in fish("panal run --firm"), "options of run in fish")
        if shutil.which("zsh"):
            found = type_and_tab(scripts["zsh"], environment, "panal undel", "panal start w", "panal stop --f", "panal image res", "panal run --firmware-v")
            expect_equal(found, ["panal undelete", "panal start web1", "panal stop --force", "panal image resize", "panal run --firmware-vars"], "zsh")


def at_console(p, name, line):
    """What panal console shows from the machine's prompt on, where the line is typed, to the machine's end; what it says itself."""
    command = [os.path.join(BUILD, "panal"), "console", name, "-c", p.uri("virtpanald-sock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shown:
        out = b""
        while b"/ #" not in out:
            more = shown.stdout.read1(4096)
            expect(more, out[-500:])
            out += more
        shown.stdin.write(line.encode() + b"; poweroff -f\n")
        shown.stdin.close()
        out, said = shown.stdout.read().decode(), shown.stderr.read().decode()
    wait_for("the end", lambda: "shut off" in p.virsh("domstate", name))
    return out, said


def processors():
    """What two models have in common boots; what a model lacks of another is named."""
    with Panald() as p:
        expect("x86-64-v3" in panal(p, "cpu", "list"), "the list")
        models = {m["name"]: m for m in json.loads(panal(p, "cpu", "list", "--json"))}
        expect(not models["Haswell"]["soft"] and models["x86-64-v2"]["soft"], "the software CPU has no TSX")
        expect("sse4.2" in panal(p, "cpu", "show", "Nehalem").split(), "a model's features")
        expect_equal(panal(p, "cpu", "baseline", "Nehalem", "Penryn").strip(), "x86-64-v1,+pni,+ssse3,+cx16,+sse4.1,+lahf_lm", "baseline")
        expect("lacks sse4.2" in panal(p, "cpu", "compare", "Nehalem", "Penryn", status=1), "compare")
        panal(p, "cpu", "compare", "Penryn", "Nehalem")
        expect("no processor model" in panal(p, "cpu", "show", "Nix", status=1), "an unknown model")
        define(p, "old", more="<cpu mode='custom' match='exact'><model>Westmere</model><feature policy='disable' name='aes'/></cpu>")
        panal(p, "start", "old")
        out, _ = at_console(p, "old", "cat /proc/cpuinfo")
        flags = re.search("flags.*: (.*)", out)[1].split()
        expect("Westmere" in out and "sse4_2" in flags and "aes" not in flags and "avx" not in flags, out[-900:])


def copies():
    """panal cp names files as scp wants them; scp is another program here, which says what it was told."""
    with Panald() as p:
        define(p, "web1", devices=FORWARD)
        panal(p, "start", "web1")
        data, stub = p.path("data"), p.path("bin")
        os.makedirs(data + "/machines/web1")
        os.makedirs(stub)
        with open(data + "/machines/web1/user", "w", encoding="ascii") as f:
            f.write("ana")
        with open(stub + "/scp", "w", encoding="ascii") as f:
            f.write("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
        os.chmod(stub + "/scp", 0o755)
        more = {"PANAL_DATA": data, "PATH": f"{stub}:{os.environ['PATH']}"}
        said = panal(p, "cp", "a:b/../x", "./c:d", "web1:/tmp/y", status=1, more=more)
        expect("another machine" in said, said)
        said = panal(p, "cp", "plain", "./c:d", "/e:f", "web1:there", more=more).splitlines()
        expect_equal(said[-5:], ["--", "plain", "././c:d", "/e:f", "ana@localhost:there"], said)
        expect_equal(said[said.index("-P") + 1], str(PORT), "port")
        expect("none of the files" in panal(p, "cp", "a", "b", status=1, more=more), "no machine")
        expect("no machine nix" in panal(p, "cp", "a", "nix:b", status=1, more=more), "an unknown machine")
        expect("usage: panal cp" in panal(p, "cp", "web1:b", status=2, more=more), "one file")


def plain_virsh():
    """As people call it: without LIBVIRT_AUTOSTART=0, the library says in its call that it would have started a daemon."""
    environment = {k: v for k, v in os.environ.items() if k != "LIBVIRT_AUTOSTART"}
    with Panald() as p:
        define(p, "web1")
        uri = f"qemu+unix:///session?socket={p.socket()}"
        expect("web1" in plain("virsh", "-c", uri, "list", "--all", env=environment), "virsh of a user")


def life():
    with Panald() as p:
        define(p, "one")
        define(p, "two")
        expect("there is no machine three" in panal(p, "start", "one", "three", "two", status=1), "the missing one")
        expect("one" in p.virsh("list", "--name") and "two" in p.virsh("list", "--name"), "not started")
        panal(p, "pause", "one")
        expect("paused" in p.virsh("domstate", "one"), "paused")
        panal(p, "resume", "one")
        expect("running" in p.virsh("domstate", "one"), "resumed")
        out = panal(p, "stop", "--timeout", "0", "one")
        expect("power button" in out and "plug" in out, out)
        expect("shut off" in p.virsh("domstate", "one"), "stopped")
        panal(p, "stop", "--force", "two")
        expect("two is off" in panal(p, "stop", "two", status=1), "stopped twice")
        panal(p, "restart", "two")
        expect("running" in p.virsh("domstate", "two"), "restarted")


def once():
    """More words for the kernel, for one run: the guest has them, the definition does not, nor does the next run."""
    with Panald() as p:
        define(p, "one", append="always=1")
        before = p.virsh("dumpxml", "one")
        panal(p, "start", "--append", "just=<this> & 'once'", "one")
        expect("runs already" in panal(p, "start", "--append", "x", "one", status=1), "started twice")
        expect("just=" not in p.virsh("dumpxml", "--inactive", "one"), "the definition has the words")
        p.restart()
        expect("just=" not in p.virsh("dumpxml", "--inactive", "one"), "after a daemon's restart the definition has the words")
        expect("always=1 just=<this> & 'once'" in at_console(p, "one", "cat /proc/cmdline")[0], "the guest has not got the words")
        expect_equal(p.virsh("dumpxml", "one"), before, "the definition")
        panal(p, "restart", "one")
        expect("just=" not in at_console(p, "one", "cat /proc/cmdline")[0], "the next run has them")
        define(p, "own", kernel=False)
        expect("<bootloader/>" in panal(p, "start", "--append", "x", "own", status=1), "a machine with a loader of its own")
        expect("usage: panal stop" in panal(p, "stop", "--append", "x", "one", status=2), "an option of others")


def console():
    with Panald() as p:
        define(p, "talks")
        panal(p, "start", "talks")
        out, said = at_console(p, "talks", "echo a''b")
        expect("Connected to talks" in said and "\nab" in out, out[-500:])
        expect("not running" in panal(p, "console", "talks", status=1), "a console of what is off")


def processor_seconds(p):
    with open(f"/proc/{p.engines()[0]}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def live_use():
    with Panald() as p:
        define(p, "busy")
        panal(p, "start", "busy")
        before = processor_seconds(p)
        rows = [json.loads(line) for line in panal(p, "top", "--json", "-n", "2", "-i", "1").splitlines()]
        used = processor_seconds(p) - before
        # A quiet host's guest has started in the first second, and does nothing in the next.
        each = [row[0]["cpu"] for row in rows]
        expect(len(rows) == 2 and rows[1][0]["name"] == "busy" and 0 < max(each) <= used + 0.1, (rows, used))
        expect("busy" in panal(p, "top", "-n", "1", "-i", "0.2"), "the table")


def refusals():
    with Panald() as p:
        expect("unknown command" in panal(p, "fly", status=2), "an unknown command")
        for command in ("start", "stop", "console"):
            expect("usage:" in panal(p, command, status=2), command)
            expect("usage:" in panal(p, command, "--help"), command)
        path = p.path("no-socket")
        expect("no panald answers" in panal(p, "ls", "-c", f"qemu+unix:///system?socket={path}", status=1), "no daemon")
        expect("not an address" in panal(p, "ls", "-c", "xen:///system", status=1), "a foreign address")


def end_daemon_of(home):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if f"HOME={home}".encode() in f.read().split(b"\0"):
                    os.kill(int(pid), signal.SIGTERM)
        except OSError:
            pass


def own_instance():
    """Nobody started a daemon: the user's own comes by itself."""
    with Panald() as p:
        home = p.path("home")
        os.makedirs(home + "/run", mode=0o700)
        environment = {"PATH": os.environ["PATH"], "HOME": home, "XDG_RUNTIME_DIR": home + "/run"}
        command = [os.path.join(BUILD, "panal"), "ls", "--json", "-c", "qemu:///session"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30 * PATIENCE, env=environment, stdin=subprocess.DEVNULL)
        end_daemon_of(home)
        expect_equal((done.returncode, done.stdout), (0, "[]\n"), done.stderr)


TESTS = [(f.__name__.replace("_", " "), f) for f in (list_machines, spanish, completion, processors, copies, plain_virsh, life, once, console, live_use, refusals, own_instance)]

if __name__ == "__main__":
    wanted = sys.argv[1:]
    sys.exit(run_tests([t for t in TESTS if not wanted or any(w in t[0] for w in wanted)]))
