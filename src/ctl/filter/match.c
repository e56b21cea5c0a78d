/* SPDX-License-Identifier: BSD-3-Clause */
#include "match.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/xt_addrtype.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_mark.h>
#include <linux/netfilter/xt_multiport.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <netinet/tcp.h>

#include "../../util/macro.h"
#include "../../util/transport.h"
#include "extension.h"
#include "loading.h"

/* Each returns whether it knows the revision. */

static bool has_port(uint16_t first, uint16_t last, uint16_t port)
{
	return first <= port && port <= last;
}

static void fit_port(struct evaluation *evaluation, bool source, uint16_t first, uint16_t last, bool inverted)
{
	const struct probe *probe = evaluation->probe;
	unsigned causes = source ? probe->source_causes : probe->has_port ? 0 : CAUSE_OTHER;
	bool fits = has_port(first, last, source ? probe->source_port : probe->port) != inverted;

	if (first == 0 && last == UINT16_MAX && !inverted)
		return;
	evaluation_fit(evaluation, causes ? BITS_MAYBE : fits ? BITS_YES : BITS_NO, causes, "a port");
}

static bool match_tcp(struct evaluation *evaluation, const struct extension *extension)
{
	struct xt_tcp info;
	bool flags;

	if (!extension_copy(extension, 0, &info, sizeof(info)))
		return false;
	fit_port(evaluation, true, info.spts[0], info.spts[1], info.invflags & XT_TCP_INV_SRCPT);
	fit_port(evaluation, false, info.dpts[0], info.dpts[1], info.invflags & XT_TCP_INV_DSTPT);
	flags = (TH_SYN & info.flg_mask) == info.flg_cmp;
	if (flags == !!(info.invflags & XT_TCP_INV_FLAGS))
		evaluation_fit(evaluation, BITS_NO, 0, NULL);
	if (info.option)
		evaluation_fit(evaluation, BITS_MAYBE, CAUSE_OTHER, "an option of TCP");
	return true;
}

static bool match_udp(struct evaluation *evaluation, const struct extension *extension)
{
	struct xt_udp info;

	if (!extension_copy(extension, 0, &info, sizeof(info)))
		return false;
	fit_port(evaluation, true, info.spts[0], info.spts[1], info.invflags & XT_UDP_INV_SRCPT);
	fit_port(evaluation, false, info.dpts[0], info.dpts[1], info.invflags & XT_UDP_INV_DSTPT);
	return true;
}

static bool match_protocol(struct evaluation *evaluation, uint8_t protocol, const struct extension *extension)
{
	if (protocol != evaluation->probe->protocol)
		evaluation_fit(evaluation, BITS_NO, 0, NULL);
	return protocol == IPPROTO_TCP ? match_tcp(evaluation, extension) : match_udp(evaluation, extension);
}

static enum bits_fit fit_listed(const struct xt_multiport_v1 *info, uint16_t port)
{
	for (unsigned i = 0; i < info->count && i < XT_MULTI_PORTS; i++) {
		uint16_t first = info->ports[i], last = first;

		if (info->pflags[i] && i + 1 < XT_MULTI_PORTS)
			last = info->ports[++i];
		if (has_port(first, last, port))
			return BITS_YES;
	}
	return BITS_NO;
}

static bool match_multiport(struct evaluation *evaluation, const struct extension *extension)
{
	const struct probe *probe = evaluation->probe;
	struct xt_multiport_v1 info;
	enum bits_fit source, port, fit;
	unsigned causes;

	if (!extension_copy(extension, 1, &info, sizeof(info)))
		return false;
	source = probe->source_causes ? BITS_MAYBE : fit_listed(&info, probe->source_port);
	port = probe->has_port ? fit_listed(&info, probe->port) : BITS_MAYBE;
	causes = probe->source_causes;
	if (info.flags == XT_MULTIPORT_SOURCE) {
		fit = source;
	} else if (info.flags == XT_MULTIPORT_DESTINATION) {
		fit = port;
		causes = CAUSE_OTHER;
	} else {
		fit = source > port ? source : port;
	}
	evaluation_fit(evaluation, info.invert ? bits_not(fit) : fit, causes, "a port");
	return true;
}

static void fit_type(struct evaluation *evaluation, bool source, uint16_t mask, bool inverted)
{
	unsigned causes;
	uint32_t type;
	bool fits;

	if (!mask)
		return;
	type = probe_address_type(evaluation->probe, source, &causes);
	fits = !!(mask & (1U << type)) != inverted;
	evaluation_fit(evaluation,
		causes ? BITS_MAYBE
		: fits ? BITS_YES
		       : BITS_NO,
		causes, "the type of an address");
}

static bool match_type(struct evaluation *evaluation, const struct extension *extension)
{
	struct xt_addrtype_info_v1 info;

	if (!extension_copy(extension, 1, &info, sizeof(info)) ||
		(info.flags & (XT_ADDRTYPE_LIMIT_IFACE_IN | XT_ADDRTYPE_LIMIT_IFACE_OUT)))
		return false;
	fit_type(evaluation, true, info.source, info.flags & XT_ADDRTYPE_INVERT_SOURCE);
	fit_type(evaluation, false, info.dest, info.flags & XT_ADDRTYPE_INVERT_DEST);
	return true;
}

static uint32_t state_of(const struct evaluation *evaluation)
{
	uint32_t state = loading_state(evaluation);

	if (state == NF_CT_STATE_UNTRACKED_BIT)
		return XT_CONNTRACK_STATE_UNTRACKED;
	if (state != NF_CT_STATE_BIT(IP_CT_NEW))
		return XT_CONNTRACK_STATE_INVALID;
	return (uint32_t)XT_CONNTRACK_STATE_BIT(IP_CT_NEW) |
	       (evaluation->probe->translated ? (uint32_t)XT_CONNTRACK_STATE_DNAT : 0);
}

static bool match_connection(struct evaluation *evaluation, const struct extension *extension)
{
	struct xt_conntrack_mtinfo3 info;
	bool fits;

	if (!extension_copy(extension, 3, &info, sizeof(info)) ||
		(info.match_flags & ~(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS)))
		return false;
	fits = !!(state_of(evaluation) & info.state_mask) != !!(info.invert_flags & XT_CONNTRACK_STATE);
	evaluation_fit(evaluation, fits ? BITS_YES : BITS_NO, 0, NULL);
	return true;
}

static bool match_state(struct evaluation *evaluation, const struct extension *extension)
{
	struct xt_state_info info;

	if (!extension_copy(extension, 0, &info, sizeof(info)))
		return false;
	evaluation_fit(evaluation, state_of(evaluation) & info.statemask ? BITS_YES : BITS_NO, 0, NULL);
	return true;
}

static bool match_mark(struct evaluation *evaluation, const struct extension *extension)
{
	const struct probe *probe = evaluation->probe;
	struct xt_mark_mtinfo1 info;
	bool fits;

	if (!extension_copy(extension, 1, &info, sizeof(info)))
		return false;
	fits = ((probe->mark & info.mask) == info.mark) != !!info.invert;
	evaluation_fit(evaluation,
		probe->mark_doubt.causes ? BITS_MAYBE
		: fits			 ? BITS_YES
					 : BITS_NO,
		probe->mark_doubt.causes, probe->mark_doubt.what);
	return true;
}

static bool match_comment(struct evaluation *evaluation, const struct extension *extension)
{
	(void)evaluation;
	(void)extension;
	return true;
}

static const struct known_extension matches[] = {
	{"addrtype", match_type},
	{"comment", match_comment},
	{"conntrack", match_connection},
	{"mark", match_mark},
	{"multiport", match_multiport},
	{"state", match_state},
};

void match_evaluate(struct evaluation *evaluation, const struct attributes *attributes)
{
	struct extension extension;
	uint8_t protocol;

	extension_read(attributes, &extension);
	if (protocol_from_word(extension.name, &protocol) && match_protocol(evaluation, protocol, &extension))
		return;
	(void)extension_evaluate(&extension, matches, ARRAY_SIZE(matches), "match", evaluation);
}
