# SPDX-License-Identifier: BSD-3-Clause
"""The words of explain and doctor for every fault, in one place: to reword a message, change it here and in no test.

A key is the code of a finding, or the check of doctor; after a colon it says which of its texts. The set-up gives the
values of {name} and the like. … matches anything, as does a value that the set-up does not give. An entry is (text,
remedy with its command). An entry that is only a text has the remedy of the key before the colon, or none.
"""

# The sentence at the top of explain
SENTENCES = {
    "goes": "{packet} goes to '{name}': socket sk:{cookie} at {address} of {who} (pid {pid})",
    "missing": "{packet} is refused: '{name}' has no socket for {what}",
    "unusable": "{packet} is refused: no socket of '{name}' can take it ({error})",
    "lost": "{packet} is lost: it is for '{name}', and the queue of socket sk:{cookie} at {address} of {who} is full",
    "lost:stand-in": "{packet} is lost: it is for '{name}', and the stand-in at {address} of {who}, which drops it, has no other "
                     "socket beside it",
    "no-rule": "no rule matches {packet}, and nothing listens there: it is refused",
    "no-rule:goes": "no rule matches {packet}; it goes to {who} (pid {pid}) at {address}",
    "passed": "'{name}' has no socket for {packet} and passes it on, and nothing listens there: it is refused",
    "passed:goes": "'{name}' has no socket for {packet} and passes it on; it goes to {who} (pid {pid}) at {address}",
    "passed:unknown": "'{name}' has no socket for {packet} and passes it on; what listens there is unknown",
    "device:pass": "'{name}' has no usable socket for {packet} and passes it on; it goes to {who} (pid {pid}) at {address}",
    "detached": "no rule is applied to {packet}, and nothing listens there: it is refused",
    "changed": "{packet} goes to … (by the rules in force; a reload changes that)",
    "open": "if the routing rules make {address} local: {sentence}",
    "undecided": "as far as was looked at: {sentence}",
    "filter:drop": "{packet} reaches no socket here: {act}",
    "filter:sent": "packet filters decide about {packet}: {act}",
    "filter:goes": "packet filters send {packet} to {destination}: {sentence}",
    "filter:away": "{packet} reaches no socket here: {act}, which is not an address of this host",
    "filter:loopback": "{packet} reaches no socket here: {act}, which the kernel does not accept from other hosts",
    "dropped": "{packet} reaches no socket here: the kernel drops it",
    "no-route": "{packet} reaches no socket here: {address} is not a local address",
    "multicast": "{packet} is not dispatched: {address} is a {what} address",
}

# In the tables below it
TABLES = {
    "rule": "{name} {match} {result} {where}",
    "listeners": "Also listening there, best match first; they get nothing: ",
}

# explain: the finding, and the remedy with its command
EXPLAIN = {
    # a relay
    "relay-absent": (
        "the rule has a section [Relay], and {service} does not run; the first client starts it if a socket unit has it as "
        "Service=",
        "if clients get no answer, see why it did not start: systemctl status {service}"),
    "relay-unreached": (
        "usher-relay resets the connection: it cannot connect to {backend}: {reason}, … ago",
        "start the service there, or correct Connect= under [Relay]; the address counts in the network namespace of {service}"),
    "relay": ("usher-relay (pid {pid}) relays it to {backend}; connections: {open} of {limit}", ""),
    # the name has no socket
    "missing": (
        "no socket is handed in as '{name}' ({what})",
        "start the service; the journal shows which sockets the name had, and which hand-ins were refused: "
        "journalctl USHER_NAME={name}"),
    "access": "'{name}' accepts sockets from {who}, bound {where}; refusals are in the journal",
    "family:six": (
        "'{name}' has only IPv6 TCP sockets, which cannot take IPv4: they are v6only, …",
        "hand in an IPv4 socket as well, or one bound to [::] without IPV6_V6ONLY …"),
    "family:four": (
        "'{name}' has only IPv4 TCP sockets, which cannot take IPv6",
        "have the service listen on IPv6 as well, and hand that socket in"),
    "protocol": ("'{name}' has {had} sockets, which cannot take {wanted}", "hand in a {wanted} socket as well"),
    "hand-in-refused": (
        "the last hand-in as '{name}' was refused … ago (pid {pid}, uid {uid}): {cause}",
        "fix that, and have the service hand its socket in again"),
    "hand-in-refused:other": ("a hand-in as '{name}' was refused … ago (pid {pid}, uid {uid}): {cause}", ""),
    "mptcp": (
        "MPTCP listeners cannot be handed in: {who} (pid {pid}) at {address}",
        "if that is the service, have it listen with plain TCP (Go: GODEBUG=multipathtcp=0)"),
    "shadowed": (
        "'{name}' has a socket for the packet but loses to '{winner}': {match} has {advantage} than …",
        "narrow or remove {match} in {where}"),

    # [Discover]
    "discover:nobody": (
        "nothing listens at Socket={address}, where [Discover] looks for a socket for '{name}'",
        "start the daemon, or correct Socket= in {where}"),
    "discover:found": (
        "[Discover] describes the socket of {who} (pid {pid}) at {address}, but it has not been handed in",
        "hand it in once with 'usherctl discover {name}', or start usher-discover: systemctl enable --now usher-discover"),
    "discover:unknown": (
        "usher-discover has handed in no socket that [Discover] describes (Socket={address})",
        "check that usher-discover runs; see what it finds and why it refuses that: usherctl discover --dry-run {name}"),
    "discover:refused": (
        "[Discover] describes socket {address} (pid {pid}), which {cause}",
        "fix that; to see everything that was found: usherctl discover --dry-run {name}"),

    # it has a socket that cannot take the packet
    "socket-state": (
        "socket sk:… at {address} no longer listens (ESOCKTNOSUPPORT): it has been shut down or connected",
        "restart the service, or withdraw the socket: usherctl withdraw {name}"),
    "socket-state:udp": "socket sk:… at {address} no longer takes datagrams from new clients (ESOCKTNOSUPPORT): …",

    # it has a socket that is bound to another device
    "device": (
        "socket sk:… at {address} does not get what comes by {device} (ENODEV): it is bound to a device",
        "hand in a socket that is bound to {wanted} or to no device (BindToDevice= of a socket unit, SO_BINDTODEVICE)"),
    "device:over": (
        "socket sk:… at {address} is passed over, for the packet comes by {device} (ENODEV): sk:… at {other} of … gets it",
        "if that socket should get it, bind it to no device (BindToDevice= of a socket unit, SO_BINDTODEVICE)"),
    "device:open": (
        "socket sk:… at {address} takes only packets that come by {device}; whether this packet does was not looked at",
        "if it comes by that device, ask for it, otherwise for the one by which it comes: usherctl explain … --device {device}"),
    "vrf": (
        "socket sk:… at {address} is bound to no device: the kernel would give it no packet of VRF {vrf} "
        "(net.ipv4.{protocol}_l3mdev_accept=0), usher does, and the reply does not leave by {vrf}",
        "if the service should serve {vrf}, bind a socket of its own to it (BindToDevice={vrf} in a socket unit, "
        "SO_BINDTODEVICE) and hand it in last; otherwise limit the rule to addresses that are not in {vrf}"),
    "device:listener": (
        "{who} (pid {pid}) at {address} takes what comes by {device}; whether this packet does was not looked at",
        "say by which device it comes: usherctl explain … --device {device}"),

    # it has a socket that no process serves
    "nobody-accepts": (
        "socket sk:… is held, but its process has ended: no process accepts its connections",
        "start the service with the socket (or 'usherctl withdraw {name}'): usherctl claim {name} -- COMMAND"),
    "nobody-accepts:udp": "socket sk:… is held, but its process has ended: no process reads its datagrams",
    "queue": "the accept queue of sk:… holds {n} of at most {most} connections",
    "queue-full": (
        "the accept queue of sk:… holds {n} of at most {most} connections; new ones get no answer",
        "find out why {who} (pid {pid}) does not accept; …raise its backlog in listen(2), and net.core.somaxconn"),
    "queue-full:dead": (
        "the accept queue of sk:… holds {n} of at most {most} connections; new ones get no answer", ""),

    # replies of UDP
    "udp-port": (
        "replies leave from the wrong port: the socket is bound to port {had}, not {wanted}; …",
        "bind the service to port {wanted}, on an address of its own"),
    "udp-address": (
        "replies leave from the wrong address, {had} instead of {wanted}, unless the service sets the source (IP_PKTINFO)",
        "if clients get no reply, have the service set the source with IP_PKTINFO, …"),
    "udp-address:any":
        "replies may leave from another address than {wanted}: the route chooses it, unless …(IP_PKTINFO)",

    # others
    "bypassed": (
        "{who} (pid {pid}) at {address} would get it without the rule",
        "hand that socket in as '{name}', narrow {match} in {where}, or write Missing=pass there"),
    "bypassed:bound": (
        "{who} (pid {pid}) at {address} would get it without the rule",
        "have it listen on an address within Bound= of '{name}' and hand that socket in, narrow {match} in {where}, or "
        "write Missing=pass there"),
    "bypassed:mptcp": (
        "{who} (pid {pid}) at {address} would get it without the rule",
        "narrow {match} in {where}, or write Missing=pass there"),
    "no-listener": (
        "nothing listens at {address}, and no rule dispatches it",
        "start the service that should listen, or write a rule: usher.rules(5)"),
    "no-listener:detached": ("nothing listens at {address}, and no rule dispatches it", ""),
    "no-listener:multicast": (
        "nothing listens at {address}, and no rule dispatches it", "start the service that should listen"),
    "no-listener:device": (
        "what listens at {address} gets nothing that comes by that device, and no rule dispatches it",
        "start the service that should listen, or write a rule: usher.rules(5)"),
    "no-listener:pass": ("nothing listens at {address}, and the rule passes on what finds no socket", ""),
    "v6only": (
        "{who} (pid {pid}) at {address} is v6only: it takes no IPv4",
        "clear IPV6_V6ONLY on it, or have it listen on IPv4 as well"),
    "programs": (
        "1 more sk_lookup program in this namespace may choose another socket; …",
        "list them: bpftool link show"),
    "programs:first":
        "1 more sk_lookup program in this namespace may choose another socket; …. "
        "Packets that another program has decided first: {n}",

    # files
    "files-changed": (
        "this is by the rules in force; after a reload, '{name}' has other settings ({where}): {changes}",
        "see what would change with 'usherctl diff', then: usherctl reload"),
    "files-changed:given": "this is by the rules in force; after a reload, the packet is for '{name}' ({where})",
    "files-changed:gone": "this is by the rules in force; after a reload, no rule matches the packet",
    "files-changed:bad": (
        "the rule files have changed, and a reload would fail and change nothing: {problem}", "fix that, then: usherctl reload"),
    "files-unknown": (
        "the rule files cannot be compared with the rules in force: {problem}",
        "see what is wrong with them: usherctl check"),
    "reload-failed": (
        "the last reload failed, so the previous rules are still in force: {problem}",
        "fix that, then: usherctl reload"),
    "masked": (
        "{where} would give the packet to '{name}', but {mask} masks that file",
        "if that file should apply, remove the mask: rm {mask} && usherctl reload"),
    "overridden": (
        "{where} would give the packet to '{name}', but {mask} is read in its place",
        "write the match there: of files with the same name, only the one in the first directory is read"),

    # packet filters
    "filter": (
        "{act}, before any rule of usher is applied{rest}",
        "if usher should decide about it, change that rule; this lists the chain: {command}"),
    "filter:drop": (
        "{act}, before any rule of usher is applied",
        "if it should arrive, have a rule before that one accept it; this lists the chain: {command}"),
    "filter-open": ("not decided: whether {act}; that depends on {on}", "{remedy}"),
    "loopback": (
        "the kernel drops packets of other hosts to {destination}: it is a loopback address, and "
        "net.ipv4.conf.*.route_localnet is 0",
        "have that rule send packets to another address of this host, which may be one of a dummy interface; …"),
    "filters-unknown": (
        "packet filters were not looked at: only root may read the packet filters", "run as root"),
    "not-looked-at:legacy": (
        "not looked at: tables of iptables-legacy have rules: {tables}",
        "see whether that is about this packet: iptables-legacy-save"),
    "not-looked-at:xdp": (
        "not looked at: an XDP program sees packets before the packet filters do, at {device}",
        "see whether that is about this packet: ip link show dev {device}"),
    "not-looked-at:cgroup": (
        "not looked at: BPF program {program} (id …) sees what the socket receives, by its cgroup",
        "see whether that is about this packet: bpftool cgroup show … effective"),
    "not-looked-at:gone": (
        "not looked at: BPF programs of the cgroup in which the socket was created, which is gone; there are some that may "
        "be those",
        "have the service hand in a new socket, or see which programs of the type cgroup_skb there are: bpftool prog list"),
    "not-looked-at:tc": (
        "not looked at: filters or programs of tc see packets before the packet filters do, at {device}",
        "see whether that is about this packet: tc filter show dev {device} ingress"),

    # the host
    "no-route": (
        "{address} is not a local address: packets to it reach no socket here, and there is no route to it",
        "make this address local until the next boot: ip route add local {address}/{bits} dev lo"),
    "no-route:prefix": (
        "{address} is not a local address: packets to it reach no socket here, and there is no route to it",
        "make it local until the next boot: ip route add local {prefix} dev lo"),
    "no-route:elsewhere": (
        "{address} is not a local address: packets to it reach no socket here, and the route leads to another host",
        "make this address local until the next boot, but not all of {prefix}, which would take {taken}: "
        "ip route add local {address}/{bits} dev lo"),
    "no-route:network": (
        "{address} is not a local address: packets to it reach no socket here, and …",
        "if no other host on {device} has this address, make it local until the next boot, but not all of {prefix}, which "
        "would take {taken}: {command}"),
    "no-route:rule": (
        "{address} is not a local address for this packet: the routing rule '{rule}' leads it elsewhere",
        "if this host should serve it, narrow that rule"),
    "no-route:taken": (
        "{address} is not a local address: packets to it reach no socket here, and …",
        "do not make it local: that would take {taken}; if this host should serve it, change that first"),
    "routing-rule": (
        "{address} is local only for packets that the routing rule '{rule}' fits{vrf}; whether this packet is one of them was "
        "not looked at",
        "if the packet is such a one, ask for it: {command}"),
    "routing-rule:away": (
        "{address} is not local for packets that the routing rule '{rule}' fits{vrf}; whether this packet is one of them was "
        "not looked at",
        "if the packet is such a one, ask for it: {command}"),
    "no-reply": (
        "there is no route to {client}: replies cannot be sent, and the client gets no answer",
        "add a route to it, or a default route"),
    "no-reply:table": (
        "the kernel sends no reply from {address} unless the socket has IP_TRANSPARENT: the address is local by a routing "
        "rule, but not in the table local",
        "set IP_TRANSPARENT on the socket of the service (Transparent=yes in a socket unit), or make the address local for "
        "every packet: ip route add local {address}/32 dev lo"),
    "source-dropped": (
        "the kernel drops packets from {client} that come by {device}: {client} is an address of this host, or the reverse "
        "path filter of {device} expects it by another device",
        "see which device leads to it, and net.ipv4.conf.{device}.rp_filter: ip route get {client}"),
    "multicast": "{address} is a {what} address: the kernel gives the packet to every socket bound for it, …",
    "detached": ("somebody detached the link of usherd: no rule is applied", "attach it again: usherctl reload"),
    "namespace": (
        "usherd serves another network namespace than this command runs in: …",
        "run it there: nsenter --net=/proc/{pid}/ns/net usherctl explain {packet}"),
}

# doctor: the finding, and the remedy
DOCTOR = {
    # the kernel
    "version:old": ("this is Linux {version}, but usher needs 6.1 or newer", "boot a newer kernel"),
    "maps": ("a BPF map of type {type} cannot be created: … (EINVAL)", "use a kernel with …"),
    "program": ("an sk_lookup program cannot be loaded: … (EINVAL)", "use a kernel of Linux 6.1 or newer with …"),
    "sock-diag": ("…sock_diag…", "modprobe -a tcp_diag udp_diag; without them nothing is discovered"),
    "lockdown": ("the kernel is locked down (confidentiality): …", "lower ScanInterval= in [Discover], or …"),
    "lockdown:unimportant": ("the kernel is locked down (confidentiality): …", ""),
    "lockdown:integrity": ("the kernel is locked down (integrity), which does not affect usher", ""),
    "unprivileged-bpf": "any user may call bpf(2) (kernel.unprivileged_bpf_disabled=0); usher does not need that",

    # the host
    "bpffs": ("no BPF file system is mounted on /sys/fs/bpf", "mount -t bpf bpf /sys/fs/bpf"),
    "bpffs:read-only": (
        "/sys/fs/bpf is mounted read-only: no rules can be put in force", "mount -o remount,rw /sys/fs/bpf"),
    "pins-folder:mode": (
        "/sys/fs/bpf/usher is writable by others (mode {mode}): usherd refuses to use it",
        "chmod go-w /sys/fs/bpf/usher"),
    "pins-folder:owner": (
        "/sys/fs/bpf/usher belongs to uid {uid}: usherd refuses to use it", "chown 0:0 /sys/fs/bpf/usher"),
    "cgroup2": ("no cgroup2 file system is mounted: …", "mount -t cgroup2 cgroup2 /sys/fs/cgroup, or …"),
    "descriptors": ("usherd has {n} of {most} descriptors open: …", "raise LimitNOFILE= in its unit …"),
    "capabilities": (
        "usherd (pid {pid}) lacks CAP_BPF and CAP_NET_ADMIN: it cannot put rules in force",
        "start it as root, with CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN in its unit"),

    # the broker
    "answer": (
        "no broker listens on /run/usher{instance}/usher.sock …",
        "systemctl start usherd{unit}.service; see 'journalctl -u usherd{unit}.service'"),
    "answer:late": (
        "the broker at /run/usher/usher.sock has not finished within 1000 ms (ETIMEDOUT); …",
        "systemctl restart usherd.service; see 'journalctl -u usherd.service'"),
    "version:skew": (
        "usherd is {version} (protocol {protocol}, schema {schema}), but usherctl is 0.1.0 (protocol 1, schema 1)",
        "restart usherd, which predates an upgrade: systemctl restart usherd.service"),
    "dispatch": (
        "somebody detached link {link}: nothing is dispatched", "usherctl reload, which attaches it again"),
    "namespace": (
        "usherd serves network namespace {there}, but usherctl runs in another one: …",
        "nsenter --net=/proc/{pid}/ns/net usherctl doctor"),
    "programs": (
        "1 more sk_lookup program runs in this network namespace and may decide differently; packets that another "
        "program has decided first: {n}",
        "see 'bpftool net' and 'bpftool link'; no two of them should match the same ports"),
    "programs:alone": ("no other sk_lookup program runs in this network namespace", ""),
    "reload": (
        "the last reload failed, so older rules are in force: {problem}", "fix that, then usherctl check && usherctl reload"),
    "hand-ins": (
        "the last refused hand-in was as '{name}' by uid {uid}: {cause}",
        "fix that, then restart the service; 'journalctl -u usherd.service' shows all {n}"),
    "hand-ins:before": ("hand-ins refused since usherd started, none of them recently: {n}", ""),

    # pins
    "pins:absent": (
        "dispatch goes on without a broker, through the pins in /sys/fs/bpf/usher{instance}: …",
        "systemctl start usherd{unit}.service, or 'usherctl{option} detach' to end it"),
    "pins:link": (
        "somebody removed the link in /sys/fs/bpf/usher: …", "systemctl restart usherd.service, then restart the services …"),
    "program-pins": (
        "/sys/fs/bpf/usher/{program} is pinned, but generation 1 is in force",
        "rm /sys/fs/bpf/usher/{program}, which frees its memory"),
    "instances": "another instance runs, with pins in /sys/fs/bpf/usher-{instance}",
    "instances:left": (
        "/sys/fs/bpf/usher-{instance} belongs to a broker that does not run: dispatch goes on through it",
        "systemctl start usherd@{instance}.service, or 'usherctl --instance {instance} detach' to remove it"),

    # rules
    "files": ("{problem}", "fix the file, then usherctl check"),
    "accounts": ("{problem}", "correct {where} and run 'usherctl reload', or create it: then the next hand-in finds it"),
    "masked": "{mask} masks the rule of that name",
    "masked:overridden": "{mask} is read in place of {where}",
    "ignored": "{where} is not read: rule files are named NAME.rule",
    "in-force": (
        "the files have changed since the last reload (settings to add: {add}, to remove: {remove}); the checks are about the "
        "rules in force",
        "usherctl diff && usherctl reload"),
    "missing": (
        "no socket is handed in as '{name}', so its clients are refused; packets so far: {n}",
        "start the service; if it does not hand its sockets in, use usherctl hand-in {name} or [Discover]"),
    "missing:family": (
        "'{name}' has sockets, but none for {what}; packets that found none: {n}",
        "hand one in (a dual-stack socket serves both families), or narrow the rule to what the service serves"),
    "missing:pass": ("'{name}' has no socket, and its packets are passed on (Missing=pass)", ""),
    "unrouted": (
        "'{name}' has 1 socket for {what} to which no rule leads",
        "write /etc/usher/rules.d/{name}.rule and usherctl reload, or usherctl withdraw {name}"),
    "discover:nobody": (
        "nothing listens at Socket={address}, where [Discover] of '{name}' looks for a socket",
        "start the daemon, or correct Socket= in {where}"),
    "discover:found": (
        "[Discover] of '{name}' describes socket {address}, but it has not been handed in",
        "systemctl enable --now usher-discover, or usherctl discover {name}"),
    "discover:refused": (
        "'{name}' does not get socket {address}, which {cause}", "see 'usherctl discover --dry-run {name}'"),
    "routes": (
        "a rule matches {prefix}, but no address in it is local: packets to it have no route",
        "make …local until the next boot: ip route add local {prefix} dev lo"),
    "routes:elsewhere": (
        "a rule matches {prefix}, but no address in it is local: packets to it go to another host",
        "make those addresses local that clients use, one by one, but not all of {prefix}, which would take {taken}; "
        "'usherctl explain' shows the command for each"),
    "local-routes": (
        "the local route {prefix} takes {taken}: this host does not reach others there, and answers none of them",
        "make only those addresses local that clients use, as 'usherctl explain' advises, then: "
        "ip route del local {prefix} dev lo table {table}"),
    "filters": (
        "'{name}' gets nothing at {packet} from other hosts: {act}",
        "if it should, change that: {command}; 'usherctl explain' shows what becomes of a packet"),
    "filters:open": (
        "packet filters may act on some packets to '{name}', for example {packet}, which depends on what is not known here; "
        "packets like that: {n}",
        "usherctl explain {packet}"),
    "filters:legacy": (
        "not looked at: tables of iptables-legacy have rules: {tables}",
        "see whether they keep packets from the rules: iptables-legacy-save"),
    "filters:none": ("no rule of nf_tables drops or redirects the first packet to any match; …", ""),
    "filters:address": ("matches of any address were not looked at: this host has no address but loopback ones", ""),
    "filters:unprivileged": ("only root can see this; run as root", ""),
    "bypassed": (
        "'{name}' takes {match} from {who}, which listens on {address}",
        "narrow the match, or have the service listen on an address within Bound= of the rule and hand that socket in"),
    "bypassed:handed": (
        "'{name}' takes {match} from {who}, which listens on {address}", "hand that socket in, or narrow the match"),
    "bypassed:pass":
        "'{name}' takes {match} from {who}, which listens on {address}, while a socket is handed in as '{name}'",
    "bypassed:there": "'{name}' takes {match} from {who}, which listens there",

    # sockets
    "listening": (
        "socket {address} of '{name}' no longer listens: it gets no connections, nor does any other socket of the name",
        "restart the service (pid {pid}), or usherctl withdraw {name} and hand another one in"),
    "listening:others":
        "socket {address} of '{name}' no longer listens: it gets no connections; other sockets of the name do",
    "listening:udp": "socket {address} of '{name}' is connected: it gets no datagrams from others, …",
    "held": (
        "connections wait in a held socket of '{name}' that no service has open: {n} of at most {most}",
        "start the service with 'usherctl claim {name} -- COMMAND', or usherctl withdraw {name}"),
    "queues": (
        "the accept queue of socket {address} of '{name}' is full, so new connections are dropped: {n} wait, its backlog is {most}",
        "find out why the service (pid {pid}) does not accept; if it is only slow, raise its backlog and net.core.somaxconn"),
    "queues:good": ("no accept queue is full", ""),
    "udp-port": (
        "'{name}' serves udp {match} from a socket on port {had}: its replies leave from port {had}, and …",
        "bind the service to the port of the rule, …"),
    "udp-address": (
        "'{name}' serves udp {match} from a socket bound to {address}, and does not ask to which address a datagram was "
        "sent ({when}): its replies leave from there",
        "have the service set {option} and send each reply from the address that it gets, or bind a socket to each address "
        "of the rule…"),
    "udp-address:any": (
        "'{name}' serves udp {match} from a socket bound to {address}, and does not ask to which address a datagram was "
        "sent ({when}): the route chooses from which one its reply leaves",
        "have the service set {option} and send each reply from the address that it gets, or bind a socket to each address "
        "of the rule…"),
    "udp-address:earlier": (
        "'{name}' was not looked at: whether its service asks … is not known of a socket that an earlier usherd took",
        "have the service hand its socket in again, or run as root"),
    "udp-address:group": (
        "'{name}' was not looked at: other sockets at the same address get its datagrams too, and only root can see …",
        "run as root"),
    "udp-address:asked": (
        "every UDP service asks to which address a datagram was sent, or is bound to the one address of its rule; …", ""),
    "udp-map:size": (
        "the UDP sockets of '{name}' are in a map of this kernel, where FIONREAD is 0 while a datagram waits, …",
        "nothing, if …; otherwise have it open its socket with SO_REUSEPORT, and start it with "
        "'usherctl hand-in --stand-in={address}… {name} -- COMMAND'"),
    "relays:unreached": (
        "the relay of '{name}' cannot connect to {backend}: {reason}, … ago",
        "start the service there, or correct Connect= of the rule; the address counts in the network namespace of {service}"),
    "relays:full": (
        "the relay of '{name}' has {open} connections, as many as it may have: more clients wait",
        "raise MaxConnections= under [Relay], or set IdleTimeout= if connections stay open that nobody uses"),
    "relays:namespace": (
        "the relay of '{name}' (pid {pid}) is alone in its network namespace: that of the backend has gone, or is another one "
        "now",
        "restart it with 'systemctl restart usher-relay@{name}.service'; BindsTo=, PartOf= and After= in its drop-in, …"),
    "stand-in": (
        "the stand-in of '{name}' is alone at {address}: its service (pid {pid}) has no socket there, and datagrams are "
        "dropped",
        "have the service bind {address} with SO_REUSEPORT, as the same user"),
    "mptcp": (
        "{who} (pid {pid}) listens on {address} with MPTCP, … (EOPNOTSUPP)",
        "disable MPTCP in it; in Go: GODEBUG=multipathtcp=0, or SetMultipathTCP(false) of net.ListenConfig"),
}
# In another network namespace, doctor skips these.
DOCTOR.update({f"{check}:skipped": ("…", "") for check in ("routes", "bypassed", "listening", "mptcp")})

# Messages of verbs on standard error
ERRORS = {
    "absent": "cannot explain {packet}: no broker listens on /run/usher/usher.sock …; dispatch goes on without it, "
              "through the pins in /sys/fs/bpf/usher",
    "absent:nothing": "cannot explain {packet}: no broker listens on /run/usher/usher.sock …; nothing is dispatched: "
                      "there are no pins in /sys/fs/bpf/usher",
    "late": "has not finished within 1000 ms (ETIMEDOUT); see whether usherd is stopped or overloaded",
    "mptcp": "cannot hand in '{name}': socket … is an MPTCP listener, … (EOPNOTSUPP); … GODEBUG=multipathtcp=0",
    "reload": "{problem}…cannot reload the rules: …the rules in force have not changed",
}
