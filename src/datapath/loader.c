/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../util/capability.h"
#include "../wire/packet.h"
#include "probe.h"

#define CHANNEL 3 /* after standard input, output and errors */

enum order {
	ORDER_MAKE_MAP,
	ORDER_LOAD,	      /* with the maps of the registry, and perhaps those of obstacles */
	ORDER_LOAD_OBSTACLES, /* with the map of events, and perhaps those of obstacles */
	ORDER_ATTACH_HOOK,    /* with the program and the cgroup */
	ORDER_ATTACH,	      /* with the program and the network namespace */
	ORDER_COUNT,	      /* with the network namespace */
	ORDER_EXPLAIN,
	ORDER_TRY_UDP_MAP,
};

/* Results of ORDER_TRY_UDP_MAP */
enum {
	HIDES_SIZE = 1,
	IGNORES_NOTHING = 2,
};

struct loader_order {
	enum order order;
	enum registry_map map;
	enum obstacle_hook hook;
	uint64_t netns_cookie;
	struct objects_sizes sizes;
	int error;
};

struct loader_answer {
	int result;
	struct refusal refusal;
};

/* Of usherd to its loader; -1: this process does it itself. Capabilities are of the process, and so is this. */
static int channel = -1;

/* ---- the process */

static int try_udp_map(void)
{
	struct udp_map map;
	int r = udp_map_try(&map);

	return r < 0 ? r : (map.hides_size ? HIDES_SIZE : 0) | (map.ignores_nothing ? IGNORES_NOTHING : 0);
}

/* What an order makes */
struct made {
	struct objects_program program;
	struct objects_obstacles obstacles;
};

static void made_deinit(struct made *made)
{
	objects_program_deinit(&made->program);
	objects_obstacles_deinit(&made->obstacles);
}

static int load(const struct loader_order *order, const int *fds, size_t n_fds, struct made *made)
{
	size_t n_maps = order->sizes.has_later ? REGISTRY_MAPS + OBJECTS_DISPATCHER_OBSTACLES : REGISTRY_MAPS;

	return n_fds == n_maps ? objects_load(&order->sizes, fds, &made->program) : -EINVAL;
}

static int carry_out(const struct loader_order *order, const int *fds, size_t n_fds, struct made *made,
	struct refusal *refusal)
{
	switch (order->order) {
	case ORDER_MAKE_MAP:
		return (unsigned)order->map < REGISTRY_MAPS ? objects_make_map(order->map) : -EINVAL;
	case ORDER_LOAD:
		return load(order, fds, n_fds, made);
	case ORDER_LOAD_OBSTACLES:
		return n_fds == 1 || n_fds == 1 + OBSTACLE_MAPS
			       ? objects_load_obstacles(order->netns_cookie, fds[0],
					 n_fds > 1 ? fds + 1 : NULL, &made->obstacles)
			       : -EINVAL;
	case ORDER_ATTACH_HOOK:
		return n_fds == 2 && (unsigned)order->hook < OBSTACLE_HOOKS
			       ? objects_attach_hook(fds[0], fds[1], order->hook)
			       : -EINVAL;
	case ORDER_ATTACH:
		return n_fds == 2 ? objects_attach(fds[0], fds[1]) : -EINVAL;
	case ORDER_COUNT:
		return n_fds == 1 ? objects_count_programs(fds[0]) : -EINVAL;
	case ORDER_EXPLAIN:
		return probe_explain(order->error, refusal);
	case ORDER_TRY_UDP_MAP:
		return try_udp_map();
	}
	return -EINVAL;
}

static void answer_order(int socket, struct packet *packet)
{
	_cleanup_(made_deinit) struct made made = {OBJECTS_PROGRAM_NULL, OBJECTS_OBSTACLES_NULL};
	struct loader_answer answer = {};
	_cleanup_close_ int fd = -1;
	struct loader_order order;
	const int *fds = &fd;
	size_t n_fds = 0;

	memcpy(&order, packet->text, sizeof(order));
	answer.result = carry_out(&order, packet->fds, packet->n_fds, &made, &answer.refusal);
	if (answer.result >= 0 && (order.order == ORDER_MAKE_MAP || order.order == ORDER_ATTACH ||
					  order.order == ORDER_ATTACH_HOOK)) {
		fd = answer.result;
		n_fds = 1;
	} else if (answer.result == 0 && order.order == ORDER_LOAD) {
		fds = made.program.fds;
		n_fds = OBJECTS_FDS;
	} else if (answer.result == 0 && order.order == ORDER_LOAD_OBSTACLES) {
		fds = (const int *)&made.obstacles;
		n_fds = OBJECTS_OBSTACLES_FDS;
	}
	packet_deinit(packet); /* nothing of usherd's is open here any more when it goes on */
	(void)packet_send(socket, (const char *)&answer, sizeof(answer), fds, n_fds);
}

static _Noreturn void run_loader(int given)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};

	/* signals are for usherd, which may still want something when the service manager sends SIGTERM to all */
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)prctl(PR_SET_NAME, "usherd-loader");
	/* what the service manager passed to usherd is not to be held here as well */
	if (given != CHANNEL && dup3(given, CHANNEL, O_CLOEXEC) < 0)
		_exit(1);
	(void)syscall(SYS_close_range, CHANNEL + 1U, ~0U, 0);
	if (capability_keep((1ULL << CAP_BPF) | (1ULL << CAP_NET_ADMIN)) < 0)
		_exit(1);
	for (;;) {
		_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
		struct refusal refusal;
		int r = packet_receive(CHANNEL, &packet, &refusal);

		if (r == PACKET_AGAIN)
			continue;
		if (r != 0 || packet.size != sizeof(struct loader_order))
			_exit(0);
		answer_order(CHANNEL, &packet);
	}
}

int loader_start(void)
{
	int sockets[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		(void)close(sockets[0]);
		run_loader(sockets[1]);
	}
	r = pid < 0 ? -errno : capability_keep(0);
	(void)close(sockets[1]);
	if (r < 0) {
		(void)close(sockets[0]);
		return r;
	}
	channel = sockets[0];
	return channel;
}

/* ---- usherd */

/* Return: the result; or -ECHILD, or what receiving descriptors ends with */
static int ask(const struct loader_order *order, const int *fds, size_t n_fds, int *ret_fds, size_t n_wanted,
	struct refusal *refusal)
{
	_cleanup_(packet_deinit) struct packet packet = PACKET_NULL;
	struct loader_answer answer;
	struct refusal broken = {};
	int r;

	r = packet_send(channel, (const char *)order, sizeof(*order), fds, n_fds);
	while (!r && (r = packet_receive(channel, &packet, &broken)) == PACKET_AGAIN)
		r = 0;
	if (r == PACKET_REFUSED)
		return -broken.error;
	if (r != 0 || packet.size != sizeof(answer))
		return -ECHILD;
	memcpy(&answer, packet.text, sizeof(answer));
	if (answer.result == REFUSED && refusal)
		*refusal = answer.refusal;
	if (packet.n_fds != (answer.result < 0 ? 0 : n_wanted))
		return answer.result < 0 ? answer.result : -ECHILD;
	for (size_t i = 0; i < packet.n_fds; i++)
		ret_fds[i] = TAKE_FD(packet.fds[i]);
	return answer.result;
}

int loader_make_map(enum registry_map map)
{
	const struct loader_order order = {.order = ORDER_MAKE_MAP, .map = map};
	int fd = -1, r;

	if (channel < 0)
		return objects_make_map(map);
	r = ask(&order, NULL, 0, &fd, 1, NULL);
	return r < 0 ? r : fd;
}

int loader_load(const struct objects_sizes *sizes, const int *maps, struct objects_program *ret)
{
	const struct loader_order order = {.order = ORDER_LOAD, .sizes = *sizes};

	return channel < 0 ? objects_load(sizes, maps, ret)
			   : ask(&order, maps,
				     sizes->has_later ? REGISTRY_MAPS + OBJECTS_DISPATCHER_OBSTACLES
						      : REGISTRY_MAPS,
				     ret->fds, OBJECTS_FDS, NULL);
}

int loader_load_obstacles(uint64_t netns_cookie, int events, const int *maps, struct objects_obstacles *ret)
{
	const struct loader_order order = {.order = ORDER_LOAD_OBSTACLES, .netns_cookie = netns_cookie};
	int fds[1 + OBSTACLE_MAPS] = {events};

	if (channel < 0)
		return objects_load_obstacles(netns_cookie, events, maps, ret);
	for (int i = 0; i < OBSTACLE_MAPS && maps; i++)
		fds[1 + i] = maps[i];
	return ask(&order, fds, maps ? ARRAY_SIZE(fds) : 1, (int *)ret, OBJECTS_OBSTACLES_FDS, NULL);
}

int loader_attach_hook(int program, int cgroup, enum obstacle_hook hook)
{
	const struct loader_order order = {.order = ORDER_ATTACH_HOOK, .hook = hook};
	int fd = -1, r;

	if (channel < 0)
		return objects_attach_hook(program, cgroup, hook);
	r = ask(&order, (const int[]){program, cgroup}, 2, &fd, 1, NULL);
	return r < 0 ? r : fd;
}

int loader_attach(int program, int netns)
{
	const struct loader_order order = {.order = ORDER_ATTACH};
	int fd = -1, r;

	if (channel < 0)
		return objects_attach(program, netns);
	r = ask(&order, (const int[]){program, netns}, 2, &fd, 1, NULL);
	return r < 0 ? r : fd;
}

int loader_count_programs(int netns)
{
	const struct loader_order order = {.order = ORDER_COUNT};

	return channel < 0 ? objects_count_programs(netns) : ask(&order, &netns, 1, NULL, 0, NULL);
}

int loader_explain(int error, struct refusal *refusal)
{
	const struct loader_order order = {.order = ORDER_EXPLAIN, .error = error};

	if (channel < 0)
		return probe_explain(error, refusal);
	if (error != -ECHILD && ask(&order, NULL, 0, NULL, 0, refusal) == REFUSED)
		return REFUSED;
	return refuse(refusal, ECHILD,
		"the process that loads programs has ended (ECHILD); dispatch goes on, and usherd is to be started again");
}

int loader_try_udp_map(struct udp_map *ret)
{
	const struct loader_order order = {.order = ORDER_TRY_UDP_MAP};
	int r = channel < 0 ? try_udp_map() : ask(&order, NULL, 0, NULL, 0, NULL);

	if (r < 0)
		return r;
	*ret = (struct udp_map){.hides_size = r & HIDES_SIZE, .ignores_nothing = r & IGNORES_NOTHING};
	return 0;
}
