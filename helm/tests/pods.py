# SPDX-License-Identifier: MIT
"""Runs pods that a chart renders as processes of this machine: no cluster, no images.

A pod has name spaces of its own for processes, network and mounts, an address on a bridge, a root
that it cannot write, its volumes where they are mounted, the user of its security context, and no
more memory than its limit. Commands, environment, ports, probes and hooks are those of its
specification, untouched. Names are resolved by a file of hosts that says what a headless service
would. Needs root.
"""
import base64
import copy
import os
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

probe_interval = 0.1  # of ours; the kubelet's only says how soon it notices
etc_files = ["passwd", "group", "nsswitch.conf", "ld.so.cache", "services", "ssl"]


def sh(*command, **more):
    return subprocess.run([str(each) for each in command], check=True, text=True, **more)


def expanded(text, environment):
    """$(NAME), as Kubernetes reads it in commands and variables."""
    return re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), text)


class MemoryLimit:
    """A memory control group, version 1 or 2: nothing in it gets more, pages of files included."""
    top = pathlib.Path("/sys/fs/cgroup")
    files = ({"limit": "memory.limit_in_bytes", "peak": "memory.max_usage_in_bytes", "swap": "memory.memsw.limit_in_bytes",
              "events": "memory.oom_control", "mount": "-t cgroup -o memory none sys/fs/cgroup/memory"} if (top / "memory").is_dir() else
             {"limit": "memory.max", "peak": "memory.peak", "swap": "memory.swap.max", "events": "memory.events",
              "mount": "-t cgroup2 none sys/fs/cgroup"})

    def __init__(self, name, limit):
        """Errors: OSError where this machine lets nobody make groups."""
        number, unit = re.fullmatch(r"(\d+)([KMG]i)", limit).groups()
        self.bytes = int(number) << {"K": 10, "M": 20, "G": 30}[unit[0]]
        version_1 = "oom_control" in self.files["events"]
        self.path = (self.top / "memory" if version_1 else self.top) / name
        self.path.mkdir()
        self.file("limit").write_text(str(self.bytes))
        if self.file("swap").exists():
            self.file("swap").write_text(str(self.bytes if version_1 else 0))

    def file(self, which):
        return self.path / self.files[which]

    def peak(self):
        return int(self.file("peak").read_text())

    def kills(self):
        """How many processes the kernel has ended in it for want of memory."""
        return int(re.search(r"oom_kill (\d+)", self.file("events").read_text())[1])


def first_of(started):
    """The first process of a pod, as this machine counts: what `unshare` started."""
    return int(pathlib.Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()[0])


class Machine:
    """The network of all pods, and what Kubernetes would hold: volumes, ConfigMaps, Secrets.

    Everything is of this process's own name spaces: see `enter`.
    """

    def __init__(self, folder, program, *more):
        """`more` programs are there for pods, too, by their names."""
        self.folder, self.program, self.programs = pathlib.Path(folder), program, [program, *more]
        self.objects, self.names, self.next_address, self.processes, self.limits = {}, {}, 2, [], []
        self.limits_hold = True
        self.hosts = self.folder / "hosts"
        self.write_hosts()
        sh("mount", "--bind", self.hosts, "/etc/hosts")
        sh("mount", "-t", "tmpfs", "none", "/run")
        os.mkdir("/run/netns")
        sh("ip", "link", "set", "lo", "up")
        # Of its own: else it has the lowest of its pods' and another one when those come and go, and an
        # answer to the one that it had is lost, for minutes.
        sh("ip", "link", "add", "pods", "address", "02:00:00:00:00:01", "type", "bridge")
        sh("ip", "address", "add", "10.77.0.1/16", "dev", "pods")
        sh("ip", "link", "set", "pods", "up")

    def take(self, objects):
        for one in objects:
            self.objects[one["kind"], one["metadata"]["name"]] = one

    def stop(self):
        """The end of all pods, at once."""
        for each in self.processes:
            if each.poll() is None:
                os.kill(first_of(each), signal.SIGKILL)  # which ends its name space
                each.wait()
        for each in self.limits:
            each.path.rmdir()

    def get(self, kind, name):
        return self.objects[kind, name]

    def address(self):
        number, self.next_address = self.next_address, self.next_address + 1
        return f"10.77.{number // 250}.{number % 250 + 2}"

    def limit(self, name, container):
        """A container's limit of memory; none without one, or where there are no control groups."""
        text = container.get("resources", {}).get("limits", {}).get("memory")
        if not text or not self.limits_hold:
            return None
        try:
            self.limits.append(MemoryLimit(f"{self.folder.name}-{len(self.limits)}-{name}", text))
        except OSError as why:
            print(f"pods: LIMITS OF MEMORY ARE NOT KEPT: {why}", file=sys.stderr)
            self.limits_hold = False
            return None
        return self.limits[-1]

    def name(self, name, address):
        """What a service's or pod's name stands for from now on."""
        self.names[name] = address
        self.write_hosts()

    def write_hosts(self):
        # In place, since pods have this very file mounted, and never empty, since they read it meanwhile.
        with open(os.open(self.hosts, os.O_RDWR | os.O_CREAT, 0o644), "w") as file:
            file.write("127.0.0.1 localhost\n" + "".join(f"{at} {name}\n" for name, at in self.names.items()))
            file.truncate()


def enter():
    """Has this program again in mount, network and process name spaces of its own, whose end ends every pod.

    Errors: OSError where the kernel gives none.
    """
    if "MILLRACE_PODS" in os.environ:
        sh("mount", "--make-rprivate", "/")
        return
    spaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    needed = "mount -t tmpfs none /run && ip link add dev pods type bridge && ip link add dev one type veth peer name two"
    tried = subprocess.run([*spaces, "/bin/sh", "-c", needed], text=True, capture_output=True)
    if tried.returncode != 0:
        raise OSError(tried.stderr.strip())
    os.environ["MILLRACE_PODS"] = "entered"
    os.execvp(spaces[0], [*spaces, sys.executable, *sys.argv])


class Pod:
    """One life of a pod. Nothing starts it again when it ends by itself: then the test has failed."""

    def __init__(self, machine, name, spec, domain=None):
        self.machine, self.name, self.spec = machine, name, copy.deepcopy(spec)
        self.address = machine.address()
        self.log = machine.folder / f"{name}.log"
        self.process = None
        self.main = self.spec["containers"][0]
        self.space = name[-12:].strip("-") + f"-{self.address.replace('.', '-')[6:]}"
        self.root = machine.folder / "pods" / f"{name}-{self.address}"
        cable = f"v{self.address.replace('.', '')[4:]}"
        sh("ip", "netns", "add", self.space)
        sh("ip", "link", "add", cable, "master", "pods", "type", "veth", "peer", "name", "eth0", "netns", self.space)
        sh("ip", "link", "set", cable, "up")
        for each in (["link", "set", "lo", "up"], ["address", "add", f"{self.address}/16", "dev", "eth0"],
                     ["link", "set", "eth0", "up"]):
            sh("ip", "-n", self.space, *each)
        machine.name(f"{name}.{domain}" if domain else name, self.address)
        self.volumes = {each["name"]: self.volume(each) for each in self.spec.get("volumes", [])}
        for claim in self.spec.get("claims", []):
            self.volumes[claim] = machine.folder / "claims" / f"{claim}-{name}"
        user = self.spec["securityContext"]["runAsUser"]
        for each in self.volumes.values():
            each.mkdir(parents=True, exist_ok=True)
            os.chown(each, user, user)
        for each in self.spec.get("initContainers", []):
            done = self.start(each)
            if done.wait(60) != 0:
                raise AssertionError(f"{name}: {each['name']} ended with {done.returncode}: {self.log.read_text()}")
        self.process = self.start(self.main)

    def volume(self, one):
        path = self.root.parent / f"{self.root.name}.volumes" / one["name"]
        path.mkdir(parents=True)
        if "configMap" in one:
            for key, text in self.machine.get("ConfigMap", one["configMap"]["name"])["data"].items():
                (path / key).write_text(text)
        elif "secret" in one:
            self.write_secret(path, one["secret"])
        elif "persistentVolumeClaim" in one:
            return self.machine.folder / "claims" / one["persistentVolumeClaim"]["claimName"]
        return path

    def write_secret(self, path, wanted):
        """Its files, as the kubelet writes them: they change all at once, by a link that is replaced."""
        data = self.machine.get("Secret", wanted["secretName"])["data"]
        made = path / f"..{time.monotonic_ns()}"
        made.mkdir()
        for item in wanted.get("items") or [{"key": key, "path": key} for key in data]:
            file = made / item["path"]
            file.write_bytes(base64.b64decode(data[item["key"]]))
            os.chown(file, 0, self.spec["securityContext"]["fsGroup"])
            os.chmod(file, wanted["defaultMode"])
            if not (path / item["path"]).is_symlink():
                (path / item["path"]).symlink_to(f"..data/{item['path']}")
        (path / "..next").symlink_to(made.name)
        (path / "..next").rename(path / "..data")

    def renew_secrets(self):
        """What a running pod's volumes hold becomes what the Secrets say now."""
        for one in self.spec.get("volumes", []):
            if "secret" in one:
                self.write_secret(self.volumes[one["name"]], one["secret"])

    def environment(self, container):
        made = {"PATH": "/program:/usr/bin:/bin", "HOME": "/tmp", "HOSTNAME": self.name}
        for each in container.get("env", []):
            if "fieldRef" in each.get("valueFrom", {}):
                path = each["valueFrom"]["fieldRef"]["fieldPath"]
                made[each["name"]] = {"metadata.name": self.name}[path]
            elif "valueFrom" in each:
                key = each["valueFrom"]["secretKeyRef"]
                made[each["name"]] = base64.b64decode(self.machine.get("Secret", key["name"])["data"][key["key"]]).decode()
            else:
                made[each["name"]] = expanded(each["value"], made)
        return made

    def as_user(self, container, command):
        """The words that run a command as the container's user, without any right."""
        user = str(self.spec["securityContext"]["runAsUser"])
        groups = ",".join(str(each) for each in self.spec["securityContext"].get("supplementalGroups", []))
        environment = self.environment(container)
        return ["setpriv", f"--reuid={user}", f"--regid={user}", f"--groups={groups}" if groups else "--clear-groups", "--no-new-privs", "--bounding-set=-all",
                "--inh-caps=-all", "env", "-i", *[f"{key}={value}" for key, value in environment.items()],
                *[expanded(each, environment) for each in command]]

    def start(self, container):
        root = f"{self.root}.{container['name']}"
        self.memory = self.machine.limit(self.name, container)
        mounts = "".join(
            f'mkdir -p "$root{each["mountPath"]}"; mount --bind {"-o ro " if each.get("readOnly") else ""}'
            f'"{self.volumes[each["name"]]}" "$root{each["mountPath"]}"\n' for each in container.get("volumeMounts", []))
        setup = f"""
            set -e
            root={root}
            mkdir -p "$root"
            mount -t tmpfs none "$root"
            cd "$root"
            mkdir -p usr proc dev etc tmp program
            for each in bin lib lib64 sbin; do [ -L "/$each" ] && ln -s "$(readlink "/$each")" "$each"; done
            mount --bind /usr usr
            mount --rbind /dev dev
            mount -t proc proc proc
            mkdir -p sys/fs/cgroup/memory
            {f'mount {MemoryLimit.files["mount"]}' if self.memory else ""}
            for each in {' '.join(etc_files)}; do [ ! -e "/etc/$each" ] || cp -r "/etc/$each" etc/; done
            touch etc/hosts
            mount --bind {self.machine.hosts} etc/hosts
            for each in {' '.join(str(each) for each in self.machine.programs)}; do
              touch "program/$(basename "$each")"
              mount --bind "$each" "program/$(basename "$each")"
            done
            {mounts}
            mount -o remount,ro "$root"
            echo 0 >&0  # itself, into the control group
            exec chroot "$root" "$@" </dev/null
        """
        # The name space that `ip` makes does not show the control groups.
        with open(self.log, "a") as log, open(self.memory.path / "cgroup.procs" if self.memory else os.devnull, "w") as group:
            started = subprocess.Popen(
                ["ip", "netns", "exec", self.space, "unshare", "--mount", "--pid", "--fork",
                 "/bin/sh", "-c", setup, "pod", *self.as_user(container, container["command"] + container.get("args", []))],
                stdout=log, stderr=log, stdin=group)
        self.machine.processes.append(started)
        return started

    def pid(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} has ended by itself with {self.process.returncode}: {self.log.read_text()[-2000:]}")
        return first_of(self.process)

    def run(self, command, timeout):
        """What `kubectl exec` would run."""
        pid = self.pid()
        group = self.memory.path / "cgroup.procs" if self.memory else os.devnull
        return subprocess.run(["/bin/sh", "-c", f'echo 0 >{group}; exec "$@"', "sh", "nsenter", f"--target={pid}", "--mount",
                               "--pid", "--net", f"--root=/proc/{pid}/root", "--wd=/",
                               *self.as_user(self.main, command)], timeout=timeout, text=True, capture_output=True)

    def port(self, name):
        return next(each["containerPort"] for each in self.main["ports"] if each["name"] == name)

    def probe(self, kind):
        """Whether that probe succeeds now."""
        ask = self.main[kind]["httpGet"]
        url = f"{ask.get('scheme', 'HTTP').lower()}://{self.address}:{self.port(ask['port'])}{ask['path']}"
        try:
            # The kubelet does not look at certificates.
            with urllib.request.urlopen(url, timeout=5, context=ssl._create_unverified_context()) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def wait_ready(self):
        """Until it is started and ready; not longer than its startup probe lets it."""
        startup = self.main["startupProbe"]
        give_up = time.monotonic() + startup["periodSeconds"] * startup["failureThreshold"]
        while not (self.probe("startupProbe") and self.probe("readinessProbe")):
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise AssertionError(f"{self.name} does not get ready: {self.log.read_text()[-3000:]}")
            time.sleep(probe_interval)

    def stop(self):
        """As the kubelet does it: hook, SIGTERM, and SIGKILL at the end of the grace period."""
        begun, grace = time.monotonic(), self.spec["terminationGracePeriodSeconds"]
        hook = self.main.get("lifecycle", {}).get("preStop")
        if hook:
            said = self.run(hook["exec"]["command"], timeout=grace)
            if said.returncode != 0:
                self.pid()  # its end is told, if that is why
                raise AssertionError(f"preStop of {self.name} ended with {said.returncode}: {said.stderr}")
        hooked = time.monotonic() - begun
        os.kill(self.pid(), signal.SIGTERM)
        try:
            code = self.process.wait(grace - hooked)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not stopped in {grace} s")
        if code != 0:
            raise AssertionError(f"{self.name} ended with {code}: {self.log.read_text()[-2000:]}")
        sh("ip", "netns", "delete", self.space)
        return hooked, time.monotonic() - begun - hooked



def template_of(owner):
    """The specification of its pods, with the names of their claims."""
    spec = copy.deepcopy(owner["spec"]["template"]["spec"])
    spec["claims"] = [each["metadata"]["name"] for each in owner["spec"].get("volumeClaimTemplates", [])]
    return spec


def run_to_end(machine, name, spec, timeout):
    """A pod of a job: its exit code, and what it said."""
    pod = Pod(machine, name, spec)
    code = pod.process.wait(timeout)
    return code, pod.log.read_text()
