/* SPDX-License-Identifier: BSD-3-Clause */
#include "local_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "../util/macro.h"
#include "../wire/packet.h"

static int ask_for_credentials(int socket)
{
	int on = 1, off = 0;

	if (setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -errno;
	/* packet_peek() must not have it, and an earlier broker may have set it */
	(void)setsockopt(socket, SOL_SOCKET, SO_PASSPIDFD, &off, sizeof(off));
	return 0;
}

static int adopt_consume(int passed)
{
	_cleanup_close_ int fd = passed;
	int flags = fcntl(fd, F_GETFL), r;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	r = ask_for_credentials(fd);
	return r < 0 ? r : TAKE_FD(fd);
}

int local_socket_consume(int passed, int type, const char *path, struct local_socket_path *ret_path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	*ret_path = (struct local_socket_path){.text = ""};
	if (passed >= 0)
		return adopt_consume(passed);
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = ask_for_credentials(fd);
	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0)
		return -errno;
	if (type == SOCK_SEQPACKET && listen(fd, SOMAXCONN) < 0)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	strcpy(ret_path->text, path);
	ret_path->device = st.st_dev;
	ret_path->inode = st.st_ino;
	return TAKE_FD(fd);
}

void local_socket_remove(const struct local_socket_path *path)
{
	struct stat st;

	/* after detach the pins and their lock are gone: a broker started since may have bound the path */
	if (*path->text && stat(path->text, &st) == 0 && st.st_dev == path->device &&
		st.st_ino == path->inode)
		(void)unlink(path->text);
}
