#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who panald lets in: TLS, SASL, ssh, polkit, and the sockets for readers, each with those that must stay outside.

    tests/interop/access.py            everything
    tests/interop/access.py NAME...    those whose name contains one of these
"""

import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys

from panald import BUILD, PATIENCE, Failure, Panald, Skip, domain_xml, expect, expect_equal, run_tests, wait_for

DENIED, AUTH_REQUIRED = 29, "authentication required"


def needs(*programs):
    for program in programs:
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            raise Skip(f"{program} is missing; tools/install-deps --test")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 * PATIENCE, stdin=subprocess.DEVNULL, **more)
    if done.returncode:
        raise Failure(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def virsh(uri, *args, **more):
    """The status, and what it said."""
    done = subprocess.run(["virsh", "-c", uri, *args], capture_output=True, text=True, timeout=30 * PATIENCE, stdin=subprocess.DEVNULL,
                          **more)
    return done.returncode, done.stdout + done.stderr


def works(uri, *args, says="", **more):
    status, said = virsh(uri, *(args or ("list", "--all")), **more)
    expect(status == 0 and says in said, f"{uri} {args}: {said}")


def refused(uri, *args, says="", **more):
    status, said = virsh(uri, *(args or ("list", "--all")), **more)
    expect(status != 0 and says in said, f"{uri} {args}: status {status}: {said}")


# ---- the protocol by hand ----

def packet(procedure, serial=0, body=b""):
    return struct.pack(">7I", 28 + len(body), 0x20008086, 1, procedure, 0, serial, 0) + body


def call(s, procedure, body=b""):
    """The status and the answer's body."""
    s.sendall(packet(procedure, 7, body))
    data = b""
    while len(data) < 4 or len(data) < struct.unpack(">I", data[:4])[0]:
        more = s.recv(65536)
        if not more:
            raise Failure(f"cut off at procedure {procedure}")
        data += more
    return struct.unpack(">I", data[24:28])[0], data[28:]


def error_of(body):
    code, _, there, length = struct.unpack(">4I", body[:16])
    return code, body[16:16 + length].decode() if there else ""


def connect(path, read_only=False):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    expect_equal(call(s, 1, struct.pack(">II", 0, int(read_only)))[0], 0, "open")
    return s


# ---- readers ----

def procedures():
    """Number, name, who may call it."""
    for line in run(os.path.join(BUILD, "panald"), "--procedures").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].isdigit():
            yield int(cells[0]), cells[1], cells[3]


def readers_never_write():
    """Each procedure that changes something, on the socket for readers and on one opened for reading."""
    writers = [(number, name) for number, name, who in procedures() if who == "writers"]
    expect(len(writers) > 190, f"only {len(writers)} procedures write")
    with Panald() as p:
        for s in (connect(p.socket("libvirt-sock-ro")), connect(p.socket(), read_only=True), connect(p.socket("virtqemud-sock-ro"))):
            for number, name in writers:
                status, body = call(s, number)
                code, text = error_of(body)
                expect(status == 1 and code == DENIED and "read only access prevents vir" in text, f"{name}: {code} {text}")
            s.close()


def writers_are_known():
    """No procedure whose name says that it changes something is free for readers."""
    words = ("_SET_", "_CREATE", "_DEFINE", "_UNDEFINE", "_DESTROY", "_DELETE", "_ATTACH", "_DETACH", "_UPDATE", "_MIGRATE_P",
             "_SAVE", "_RESTORE", "_REVERT", "_UPLOAD", "_WIPE", "_RESIZE", "_SHUTDOWN", "_REBOOT", "_RESET", "_SUSPEND",
             "_RESUME", "_SEND_", "_INJECT", "_OPEN_CONSOLE", "_OPEN_CHANNEL", "_CORE_DUMP", "_PEEK", "_RENAME", "_PIN_")
    reads = {"CONNECT_SUPPORTS_FEATURE", "DOMAIN_SAVE_IMAGE_GET_XML_DESC", "DOMAIN_HAS_MANAGED_SAVE_IMAGE",
             "DOMAIN_MANAGED_SAVE_GET_XML_DESC", "CONNECT_SET_IDENTITY"}
    for number, name, who in procedures():
        if who == "readers" and name not in reads and not name.startswith("CONNECT_"):
            bad = [w for w in words if w in name and "_GET_" not in name and "_LIST" not in name and "_NUM_" not in name and "_IS_" not in name]
            expect(not bad, f"{number} {name} is free for readers")


# ---- ssh ----

SSH = """#!/bin/sh
# ssh's arguments up to the host are left out; what follows is run here
while [ $# -gt 0 ]; do
	case $1 in
	-p | -l | -e | -o | -i) shift 2 ;;
	-*) shift ;;
	*) break ;;
	esac
done
shift
export PANAL_SOCKETS=@
exec sh -c "$*"
"""


def ssh():
    with Panald() as p:
        p.virsh("define", write(p, "far.xml", domain_xml("far", kernel=False)))
        write(p, "ssh", SSH.replace("@", p.path("sockets")))
        os.chmod(p.path("ssh"), 0o755)
        env = {**os.environ, "PATH": BUILD + ":" + os.environ["PATH"]}
        for proxy in ("native", "auto"):
            uri = f"qemu+ssh://elsewhere/system?command={p.path('ssh')}&proxy={proxy}"
            works(uri, says="far", env=env)
            works(uri, "dumpxml", "far", says="<name>far</name>", env=env)
            works(uri, "-r", "list", "--all", says="far", env=env)
            refused(uri, "-r", "undefine", "far", says="read only access prevents", env=env)
        works(uri, "undefine", "far", env=env)
        p.kill(15)
        refused(uri, env=env)


def write(p, name, text):
    with open(p.path(name), "w", encoding="utf-8") as f:
        f.write(text)
    return p.path(name)


# ---- TLS ----

class Pki:
    """An authority, a server's certificate, clients' certificates, in the places that both ends look in."""

    def __init__(self, p, server="localhost"):
        self.dir = p.path("pki")
        for d in ("CA", "libvirt/private", "keys"):
            os.makedirs(os.path.join(self.dir, d), exist_ok=True)
        self.authority("ca", "CA/cacert.pem")
        self.certificate("server", f"cn = {server}\ndns_name = {server}\ntls_www_server\n", "libvirt/servercert.pem",
                         "libvirt/private/serverkey.pem")

    def path(self, name):
        return os.path.join(self.dir, name)

    def key(self, name):
        path = self.path(f"keys/{name}.key")
        if not os.path.exists(path):
            run("certtool", "--generate-privkey", "--key-type", "rsa", "--bits", "2048", "--outfile", path)
        return path

    def template(self, text):
        with open(self.path("template"), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path("template")

    def authority(self, name, to):
        run("certtool", "--generate-self-signed", "--load-privkey", self.key(name), "--outfile", self.path(to), "--template",
            self.template(f"cn = Authority {name}\nca\ncert_signing_key\ncrl_signing_key\nexpiration_days = 10\n"))

    def certificate(self, name, text, to, key_to=None, authority=("CA/cacert.pem", "ca"), days="expiration_days = 10\n"):
        run("certtool", "--generate-certificate", "--load-privkey", self.key(name), "--load-ca-certificate",
            self.path(authority[0]), "--load-ca-privkey", self.key(authority[1]), "--outfile", self.path(to), "--template",
            self.template(text + days + "signing_key\nencryption_key\n"))
        if key_to:
            shutil.copy(self.key(name), self.path(key_to))

    def client(self, name, purpose="tls_www_client", **more):
        """A folder as the URI's pkipath wants it."""
        d = self.path(f"client-{name}")
        os.makedirs(d, exist_ok=True)
        shutil.copy(self.path("CA/cacert.pem"), d)
        self.certificate(name, f"cn = {name}\norganization = Acme\n{purpose}\n", f"client-{name}/clientcert.pem",
                         f"client-{name}/clientkey.pem", **more)
        return d

    def revoke(self, name):
        run("certtool", "--generate-crl", "--load-ca-privkey", self.key("ca"), "--load-ca-certificate",
            self.path("CA/cacert.pem"), "--load-certificate", self.path(f"client-{name}/clientcert.pem"), "--outfile",
            self.path("CA/new.pem"), "--template", self.template("crl_next_update = 10\ncrl_number = 1\n"))
        os.rename(self.path("CA/new.pem"), self.path("CA/cacrl.pem"))


def on_tls(p, *more, server="localhost"):
    """Restarts the daemon with TLS: its certificates and the port."""
    needs("certtool")
    pki, port = Pki(p, server), free_port()
    p.kill()
    p.options = ["--tls", f"127.0.0.1:{port}", "--pki", pki.dir, *more]
    p.start()
    return pki, port


def tls():
    with Panald() as p:
        pki, port = on_tls(p)
        uri = f"qemu+tls://localhost:{port}/system?pkipath="
        good, other = pki.client("good"), pki.client("other")
        p.virsh("define", write(p, "d.xml", domain_xml("by-tls", kernel=False)))
        works(uri + good, says="by-tls")
        works(uri + good, "dumpxml", "by-tls", says="<name>by-tls</name>")
        works(uri + other, says="by-tls")
        pki.authority("foreign", "foreign.pem")
        refused(uri + pki.client("foreigner", authority=("foreign.pem", "foreign")))
        refused(uri + pki.client("server-only", purpose="tls_www_server"))
        refused(uri + pki.client("old", days='activation_date = "2020-01-01 00:00:00"\nexpiration_date = "2020-01-02 00:00:00"\n'))
        os.makedirs(pki.path("none"))
        shutil.copy(pki.path("CA/cacert.pem"), pki.path("none"))
        refused(uri + pki.path("none"))
        pki.revoke("other")
        refused(uri + other)
        works(uri + good, says="by-tls")
        expect("revoked" in p.log(), p.log())


def tls_by_hand():
    """Without a certificate, without TLS, and with a lot of data at once."""
    with Panald() as p:
        pki, port = on_tls(p)
        good = pki.client("good")
        context = ssl.create_default_context(cafile=pki.path("CA/cacert.pem"))
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="localhost") as s:
                    expect_equal(s.recv(1), b"", "a byte for a client without a certificate")
            except (ssl.SSLError, ConnectionError):
                pass
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            plain.sendall(packet(66))
            try:
                data = plain.recv(100)
            except ConnectionError:
                data = b""
            expect(b"\x20\x00\x80\x86" not in data, f"an answer without TLS: {data}")
        context.load_cert_chain(os.path.join(good, "clientcert.pem"), os.path.join(good, "clientkey.pem"))
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as s:
                expect_equal(s.recv(1), b"\1", "the byte of welcome")
                expect_equal(call(s, 66), (0, struct.pack(">Ii", 1, 0)), "no further proof is asked for")
                expect_equal(call(s, 1, struct.pack(">II", 0, 0))[0], 0, "open")
                expect_equal(call(s, 60, struct.pack(">i", 8)), (0, struct.pack(">i", 0)), "descriptors over TLS")
                s.sendall(b"".join(packet(7, n) for n in range(300)))  # 300 documents, many in one record
                got = 0
                while got < 300:
                    length = struct.unpack(">I", exactly(s, 4))[0]
                    expect(struct.unpack(">I", exactly(s, length - 4)[20:24])[0] == 0, "capabilities")
                    got += 1
        works(p.uri())


def exactly(s, count):
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more:
            raise Failure("cut off")
        data += more
    return data


def tls_names():
    with Panald() as p:
        pki, port = on_tls(p, "--tls-name", "*CN=adm*", "--tls-name", "*CN=ci")
        uri = f"qemu+tls://localhost:{port}/system?pkipath="
        works(uri + pki.client("admin"))
        works(uri + pki.client("ci"))
        refused(uri + pki.client("someone"))
        expect("is not allowed" in p.log(), p.log())
    with Panald() as p:  # the client's side: this server is another
        pki, port = on_tls(p, server="elsewhere.example")
        refused(f"qemu+tls://localhost:{port}/system?pkipath=" + pki.client("good"), says="does not match")


# ---- SASL ----

def sasl_files(p, mechanisms):
    """Configuration and a password for the daemon; the client's file with it, and one with a wrong password."""
    needs("saslpasswd2")
    os.makedirs(p.path("sasl"), exist_ok=True)
    write(p, "sasl/libvirt.conf", f"mech_list: {mechanisms}\nsasldb_path: {p.path('sasl/db')}\nauxprop_plugin: sasldb\n")
    subprocess.run(["saslpasswd2", "-p", "-c", "-f", p.path("sasl/db"), "-a", "libvirt", "anna"], input="secret", text=True,
                   check=True, timeout=20 * PATIENCE)
    files = []
    for name, password in (("right", "secret"), ("wrong", "guess")):
        files.append(write(p, name, f"[credentials-c]\nauthname=anna\npassword={password}\n\n"
                                    "[auth-libvirt-localhost]\ncredentials=c\n"))
    p.env = {"SASL_CONF_PATH": p.path("sasl")}
    return files


def tls_and_sasl():
    with Panald() as p:
        right, wrong = sasl_files(p, "scram-sha-256")
        pki, port = on_tls(p, "--tls-sasl")
        uri = f"qemu+tls://localhost:{port}/system?pkipath={pki.client('good')}&authfile="
        works(uri + right)
        works(uri + right, "capabilities", says="<host>")
        refused(uri + wrong, says="authentication failed")
        refused(uri + "/nonexistent")
        context = ssl.create_default_context(cafile=pki.path("CA/cacert.pem"))
        context.load_cert_chain(pki.path("client-good/clientcert.pem"), pki.path("client-good/clientkey.pem"))
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as s:
                expect_equal(s.recv(1), b"\1", "the byte of welcome")
                unauthenticated(s, b"SCRAM-SHA-256")


def unauthenticated(s, mechanism):
    expect_equal(call(s, 66), (0, struct.pack(">Ii", 1, 1)), "SASL is asked for")
    for procedure in (1, 3, 7, 273, 60, 11):
        status, body = call(s, procedure)
        expect(status == 1 and AUTH_REQUIRED in error_of(body)[1], f"procedure {procedure}: {body}")
    status, body = call(s, 67)
    expect(status == 0 and mechanism in body, f"mechanisms: {body}")
    status, body = call(s, 69, struct.pack(">iI", 1, 0))
    expect(status == 1 and error_of(body)[0] == 45, f"a step before the first: {body}")
    expect_equal(s.recv(1), b"", "still served after a failure")


def tcp():
    """Without TLS only what encrypts by itself is offered; SCRAM does not, and clients would not take it."""
    with Panald() as p:
        right, wrong = sasl_files(p, "digest-md5 scram-sha-256")
        port = free_port()
        p.kill()
        p.options = ["--tcp", f"127.0.0.1:{port}"]
        p.start()
        uri = f"qemu+tcp://localhost:{port}/system?authfile="
        works(uri + right)
        works(uri + right, "capabilities", says="<host>")
        refused(uri + wrong, says="authentication failed")
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            expect(b"SCRAM" not in call(s, 67)[1], "SCRAM without encryption")
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            unauthenticated(s, b"DIGEST-MD5")
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            status, body = call(s, 70)
            expect(status == 1 and error_of(body)[0] == 45, f"polkit over TCP: {body}")


KRB5 = """[libdefaults]
	default_realm = PANAL.TEST
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
	ignore_acceptor_hostname = true
	udp_preference_limit = 0
[realms]
	PANAL.TEST = {{
		kdc = 127.0.0.1:{port}
	}}
[domain_realm]
	localhost = PANAL.TEST
"""
KDC = """[kdcdefaults]
	kdc_listen = ""
	kdc_tcp_listen = 127.0.0.1:{port}
[realms]
	PANAL.TEST = {{
		database_name = {dir}/principal
		key_stash_file = {dir}/stash
		acl_file = {dir}/acl
		max_life = 1h
	}}
"""


class Realm:
    """A Kerberos realm on this host: anna with the password secret, and the daemon's key."""

    def __init__(self, p):
        needs("krb5kdc", "kdb5_util", "kadmin.local", "kinit")
        os.makedirs(p.path("krb"))
        port = free_port()
        self.env = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin",
                    "KRB5_CONFIG": write(p, "krb/krb5.conf", KRB5.format(port=port)),
                    "KRB5_KDC_PROFILE": write(p, "krb/kdc.conf", KDC.format(port=port, dir=p.path("krb"))),
                    "KRB5_KTNAME": p.path("krb/keytab"), "KRB5CCNAME": "FILE:" + p.path("krb/cache")}
        self.run("kdb5_util", "create", "-s", "-P", "master", "-r", "PANAL.TEST")
        self.admin("addprinc -pw secret anna")
        self.admin("addprinc -randkey libvirt/localhost")
        self.admin(f"ktadd -k {p.path('krb/keytab')} libvirt/localhost")
        with open(p.path("krb/log"), "wb") as log:
            self.process = subprocess.Popen(["krb5kdc", "-n", "-r", "PANAL.TEST"], env=self.env, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        wait_for("KDC", lambda: listens(port), 10)

    def run(self, *command, **more):
        return subprocess.run(command, env=self.env, check=True, capture_output=True, text=True, timeout=30 * PATIENCE, **more)

    def admin(self, command):
        self.run("kadmin.local", "-r", "PANAL.TEST", "-q", command)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait(10 * PATIENCE)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def gssapi():
    """Kerberos over plain TCP: its own layer encrypts. A ticket opens, none does not; then a name that is not listed."""
    with Panald() as p, Realm(p) as realm:
        os.makedirs(p.path("sasl"))
        write(p, "sasl/libvirt.conf", f"mech_list: gssapi\nkeytab: {p.path('krb/keytab')}\n")
        p.env = {"SASL_CONF_PATH": p.path("sasl"), **{k: v for k, v in realm.env.items() if k.startswith("KRB5")}}
        port = free_port()
        p.kill()
        p.options = ["--tcp", f"127.0.0.1:{port}"]
        p.start()

        def virsh(*command):
            return subprocess.run(["virsh", "-c", f"qemu+tcp://localhost:{port}/system", *command], env=realm.env, text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * PATIENCE, check=False)

        done = virsh("list", "--all")
        expect(done.returncode != 0 and "authentication failed" in done.stderr, f"in without a ticket: {done}")
        realm.run("kinit", "anna", input="secret\n")
        done = virsh("capabilities")
        expect(done.returncode == 0 and "<host>" in done.stdout, f"a ticket does not open: {done}\n{p.log()}")
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            expect(b"GSSAPI" in call(s, 67)[1], "mechanisms")


# ---- polkit ----

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>"""

RULES = """polkit.addRule(function(action, subject) {
	if (action.id == "org.libvirt.unix.manage" && subject.user == "daemon") return polkit.Result.YES;
	if (action.id == "org.libvirt.unix.manage") return polkit.Result.NO;
	if (action.id == "org.libvirt.unix.monitor" && subject.user == "games") return polkit.Result.NO;
	if (subject.user == "nobody" && action.lookup("domain_name") == "his" &&
	    (action.id == "org.libvirt.api.domain.start" || action.id == "org.libvirt.api.domain.stop"))
		return polkit.Result.YES;
});"""


class Polkit:
    """A system bus and a polkit of our own, with our policy and rules in the places of the host's."""

    def __init__(self, p):
        if os.geteuid() != 0 or not os.path.exists("/usr/lib/polkit-1/polkitd"):
            raise Skip("needs root and polkitd")
        needs("dbus-daemon")
        self.processes = []
        os.chmod(p.dir, 0o755)
        self.address = "unix:path=" + p.path("bus")
        os.makedirs(p.path("actions"))
        os.makedirs(p.path("rules"))
        policy = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/daemon/access/org.panal.policy")
        shutil.copy(policy, p.path("actions"))
        write(p, "rules/10-test.rules", RULES)
        self.spawn(p, "dbus-daemon", "--nofork", "--nopidfile", "--config-file", write(p, "bus.conf", BUS.format(path=p.path("bus"))))
        wait_for("bus", lambda: os.path.exists(p.path("bus")), 10)
        self.polkitd(p)

    def spawn(self, p, *command):
        with open(p.path("polkit.log"), "ab") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                                   env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address}))

    def polkitd(self, p):
        self.spawn(p, "unshare", "-m", "sh", "-c",
                   f"mount --bind {p.path('actions')} /usr/share/polkit-1/actions && "
                   f"mount --bind {p.path('rules')} /etc/polkit-1/rules.d && exec /usr/lib/polkit-1/polkitd --no-debug")
        wait_for("polkit", lambda: subprocess.run(
            ["dbus-send", f"--bus={self.address}", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus",
             "org.freedesktop.DBus.GetNameOwner", "string:org.freedesktop.PolicyKit1"], capture_output=True,
            check=False).returncode == 0, 10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(10 * PATIENCE)


def as_user(uid):
    return {"user": uid, "group": uid, "extra_groups": [],
            "env": {**os.environ, "HOME": "/nonexistent", "XDG_RUNTIME_DIR": "/nonexistent"}}


NOBODY, DAEMON, GAMES = as_user(65534), as_user(1), as_user(5)


def polkit():
    with Panald() as p, Polkit(p) as bus:
        p.kill()
        p.env = {"DBUS_SYSTEM_BUS_ADDRESS": bus.address}
        p.options = ["--auth", "polkit"]
        p.start()
        expect_equal(oct(os.stat(p.socket()).st_mode & 0o777), "0o777", "mode of the socket")
        for name in ("his", "others"):
            works(p.uri(), "define", write(p, "d.xml", domain_xml(name, memory=64, kernel=False)))
        # nobody may look, and start and stop one machine
        works(p.uri(), says="others", **NOBODY)
        works(p.uri("libvirt-sock-ro"), "-r", "list", "--all", says="his", **NOBODY)
        works(p.uri(), "start", "his", **NOBODY)
        works(p.uri(), "destroy", "his", **NOBODY)
        refused(p.uri(), "start", "others", says="org.libvirt.api.domain.start", **NOBODY)
        refused(p.uri(), "undefine", "his", says="access denied", **NOBODY)
        refused(p.uri(), "dumpxml", "--security-info", "his", **NOBODY)
        refused(p.uri(), "define", p.path("d.xml"), says="org.libvirt.api.connect.write", **NOBODY)
        refused(p.uri("libvirt-sock-ro"), "start", "his", says="read only access prevents", **NOBODY)
        # daemon manages all, games sees nothing
        works(p.uri(), "start", "others", **DAEMON)
        works(p.uri(), "destroy", "others", **DAEMON)
        works(p.uri(), "undefine", "others", **DAEMON)
        refused(p.uri(), says="access denied by policy", **GAMES)
        refused(p.uri("libvirt-sock-ro"), "-r", "list", says="access denied by policy", **GAMES)
        # polkit goes and comes
        bus.processes[-1].terminate()
        bus.processes[-1].wait(10 * PATIENCE)
        refused(p.uri(), **NOBODY)
        works(p.uri(), says="his")
        bus.polkitd(p)
        works(p.uri(), says="his", **NOBODY)
        # so does the bus
        for process in reversed(bus.processes):
            process.terminate()
            process.wait(10 * PATIENCE)
        refused(p.uri(), **NOBODY)
        works(p.uri(), says="his")


def polkit_missing():
    """Asked for and not there: the daemon does not start, rather than letting everybody in."""
    with Panald() as p:
        p.kill()
        p.env = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
        p.options = ["--auth", "polkit"]
        try:
            p.start()
        except Failure as failure:
            expect("cannot reach the system's bus" in str(failure), failure)
        else:
            raise Failure("it started")


TESTS = [(f.__name__.replace("_", " "), f) for f in (
    readers_never_write, writers_are_known, ssh, tls, tls_by_hand, tls_names, tls_and_sasl, tcp, gssapi, polkit, polkit_missing)]


if __name__ == "__main__":
    wanted = sys.argv[1:]
    sys.exit(run_tests([t for t in TESTS if not wanted or any(w in t[0] for w in wanted)]))
