/* SPDX-License-Identifier: BSD-3-Clause */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYSFS "/sys/class/net/"
#define HARDWARE_TEXT_MAX 18

const char *device_format(uint32_t device, char text[static DEVICE_TEXT_MAX])
{
	if (!device)
		*text = '\0';
	else if (!if_indextoname(device, text))
		(void)snprintf(text, DEVICE_TEXT_MAX, "#%u", device);
	return text;
}

const char *device_endpoint_join(
	const char *endpoint, const char *device, char text[static ENDPOINT_TEXT_MAX])
{
	(void)snprintf(text, ENDPOINT_TEXT_MAX, "%s%s%s", endpoint, device ? "%" : "", device ? device : "");
	return text;
}

const char *device_endpoint_format(int family, const uint8_t *address, uint16_t port, uint32_t device,
	char text[static ENDPOINT_TEXT_MAX])
{
	char endpoint[ENDPOINT_TEXT_MAX], name[DEVICE_TEXT_MAX];

	return device_endpoint_join(endpoint_format(family, address, port, endpoint),
		device ? device_format(device, name) : NULL, text);
}

/* ---- VRF */

static bool read_line(const char *device, const char *file, char *text, size_t size)
{
	char path[PATH_MAX];
	ssize_t n = -1;
	int fd;

	(void)snprintf(path, sizeof(path), SYSFS "%s/%s", device, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, size - 1);
		(void)close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* An ioctl of devices, which any socket takes */
static bool ask_device(unsigned long what, const char *device, struct ifreq *request)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return false;
	(void)snprintf(request->ifr_name, sizeof(request->ifr_name), "%s", device);
	r = ioctl(fd, what, request);
	(void)close(fd);
	return r == 0;
}

/* "52:54:00:12:34:56" as in sysfs */
static bool read_hardware_address(const char *device, char text[static HARDWARE_TEXT_MAX])
{
	struct ifreq request = {};
	const uint8_t *address = (const uint8_t *)request.ifr_hwaddr.sa_data;
	bool known = ask_device(SIOCGIFHWADDR, device, &request);

	(void)snprintf(text, HARDWARE_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", address[0], address[1],
		address[2], address[3], address[4], address[5]);
	return known;
}

static bool is_vrf(const char *device)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (void *)&driver};

	return ask_device(SIOCETHTOOL, device, &request) && strcmp(driver.driver, "vrf") == 0;
}

/* A sysfs shows the devices of the network namespace in which it was mounted. */
static bool is_own_sysfs(uint32_t device, const char *name)
{
	char shown[64], hardware[HARDWARE_TEXT_MAX];

	if (!read_line(name, "ifindex", shown, sizeof(shown)) || strtoul(shown, NULL, 10) != device)
		return false;
	return read_line(name, "address", shown, sizeof(shown)) && read_hardware_address(name, hardware) &&
	       strncmp(shown, hardware, strlen(hardware)) == 0;
}

bool device_find_vrf(uint32_t device, char vrf[static IF_NAMESIZE])
{
	char name[IF_NAMESIZE], path[PATH_MAX], master[PATH_MAX];
	ssize_t n;

	*vrf = '\0';
	if (!device || !if_indextoname(device, name) || !is_own_sysfs(device, name))
		return false;
	(void)snprintf(path, sizeof(path), SYSFS "%s/master", name);
	n = readlink(path, master, sizeof(master) - 1);
	if (n <= 0)
		return false;
	master[n] = '\0';
	if (!is_vrf(basename(master)))
		return false;
	(void)snprintf(vrf, IF_NAMESIZE, "%.15s", basename(master));
	return true;
}

int device_refuse_in_vrf(uint32_t device, struct refusal *refusal)
{
	char name[DEVICE_TEXT_MAX], vrf[IF_NAMESIZE];

	if (!device_find_vrf(device, vrf))
		return 0;
	return refuse(refusal, EOPNOTSUPP,
		"is bound to %s, which is in VRF %s: an sk_lookup program sees only the VRF of a packet, so the socket would get none (EOPNOTSUPP); bind it to %s instead (BindToDevice= of a socket unit, SO_BINDTODEVICE)",
		device_format(device, name), vrf, vrf);
}
