/* SPDX-License-Identifier: BSD-3-Clause */
#include "target.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/xt_CT.h>
#include <linux/netfilter/xt_TPROXY.h>
#include <linux/netfilter/xt_mark.h>
#include <netinet/in.h>
#include <string.h>

#include "../../util/address.h"
#include "../../util/macro.h"
#include "extension.h"
#include "loading.h"
#include "sending.h"

/* Several addresses, or several ports, are not known. */
static void send_to_range(struct evaluation *evaluation, uint32_t flags, const uint8_t *first,
	const uint8_t *last, uint16_t first_port, uint16_t last_port)
{
	bool address = flags & NF_NAT_RANGE_MAP_IPS, port = flags & NF_NAT_RANGE_PROTO_SPECIFIED;

	sending_to(evaluation, address ? first : NULL, port ? &first_port : NULL);
	if (address && memcmp(first, last, address_size(evaluation->probe->family)) != 0)
		evaluation->sent.address_known = false;
	if (port && (first_port != last_port || (flags & NF_NAT_RANGE_PROTO_OFFSET)))
		evaluation->sent.port_known = false;
}

/* Both revisions begin alike; the layout of revision 0 is another one for IPv4. */
static bool send_to(struct evaluation *evaluation, const struct extension *extension, bool redirect)
{
	struct nf_nat_ipv4_multi_range_compat four;
	struct nf_nat_range range;
	uint16_t port;

	if (evaluation->probe->family == AF_INET && extension_copy(extension, 0, &four, sizeof(four)) &&
		extension->size < sizeof(range))
		send_to_range(evaluation, four.range[0].flags, (const uint8_t *)&four.range[0].min_ip,
			(const uint8_t *)&four.range[0].max_ip, four.range[0].min.all, four.range[0].max.all);
	else if (extension_copy(extension, extension->revision, &range, sizeof(range)))
		send_to_range(evaluation, range.flags, (const uint8_t *)&range.min_addr,
			(const uint8_t *)&range.max_addr, range.min_proto.all, range.max_proto.all);
	else
		return false;
	if (!redirect)
		return true;
	port = htons(evaluation->sent.port);
	sending_to_device(evaluation, evaluation->sent.port_known ? &port : NULL);
	return true;
}

static bool redirect(struct evaluation *evaluation, const struct extension *extension)
{
	return send_to(evaluation, extension, true);
}

static bool translate(struct evaluation *evaluation, const struct extension *extension)
{
	return send_to(evaluation, extension, false);
}

static bool hand_to_socket(struct evaluation *evaluation, const struct extension *extension)
{
	struct xt_tproxy_target_info_v1 info;
	struct xt_tproxy_target_info old;

	if (extension_copy(extension, 0, &old, sizeof(old)))
		info = (struct xt_tproxy_target_info_v1){.laddr.ip = old.laddr, .lport = old.lport};
	else if (!extension_copy(extension, 1, &info, sizeof(info)))
		return false;
	sending_to(evaluation,
		address_is_any(evaluation->probe->family, (const uint8_t *)&info.laddr)
			? NULL
			: (const uint8_t *)&info.laddr,
		info.lport ? &info.lport : NULL);
	evaluation->end = EVALUATION_SOCKET;
	return true;
}

static bool set_mark(struct evaluation *evaluation, const struct extension *extension)
{
	const struct probe *probe = evaluation->probe;
	struct xt_mark_tginfo2 info;

	if (!extension_copy(extension, 2, &info, sizeof(info)))
		return false;
	loading_set_mark(evaluation, (probe->mark & ~info.mask) ^ info.mark, probe->mark_doubt.causes);
	return true;
}

static bool reject(struct evaluation *evaluation, const struct extension *extension)
{
	(void)extension;
	evaluation->end = EVALUATION_REJECT;
	return true;
}

static bool queue(struct evaluation *evaluation, const struct extension *extension)
{
	(void)extension;
	evaluation->end = EVALUATION_QUEUE;
	return true;
}

static bool stop_tracking(struct evaluation *evaluation, const struct extension *extension)
{
	(void)extension;
	if (evaluation->sure && evaluation->fit == BITS_YES)
		evaluation->probe->untracked = true;
	return true;
}

/* Without --notrack it gives a connection a helper, a zone or a time. */
static bool set_connection(struct evaluation *evaluation, const struct extension *extension)
{
	uint16_t flags;

	if (extension->size < sizeof(flags))
		return false;
	memcpy(&flags, extension->info, sizeof(flags));
	return flags & XT_CT_NOTRACK ? stop_tracking(evaluation, extension) : true;
}

static bool pass_by(struct evaluation *evaluation, const struct extension *extension)
{
	(void)evaluation;
	(void)extension;
	return true;
}

static const struct known_extension targets[] = {
	{"CHECKSUM", pass_by},
	{"CLASSIFY", pass_by},
	{"CT", set_connection},
	{"DNAT", translate},
	{"DSCP", pass_by},
	{"LOG", pass_by},
	{"MARK", set_mark},
	{"MASQUERADE", pass_by},
	{"NFLOG", pass_by},
	{"NFQUEUE", queue},
	{"NOTRACK", stop_tracking},
	{"REDIRECT", redirect},
	{"REJECT", reject},
	{"SNAT", pass_by},
	{"TCPMSS", pass_by},
	{"TPROXY", hand_to_socket},
	{"TRACE", pass_by},
};

void target_evaluate(struct evaluation *evaluation, const struct attributes *attributes)
{
	struct extension extension;

	extension_read(attributes, &extension);
	if (!extension_evaluate(&extension, targets, ARRAY_SIZE(targets), "target", evaluation))
		evaluation->end = EVALUATION_GONE;
}
