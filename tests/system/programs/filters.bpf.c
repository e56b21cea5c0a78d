// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* What others attach to devices and cgroups: both drop every packet of TCP to port 80 that is for IPv4. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int at_device(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct tcphdr *tcp = (void *)(ip + 1);

	if ((void *)(tcp + 1) > end || ethernet->h_proto != bpf_htons(ETH_P_IP) ||
		ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	return tcp->dest == bpf_htons(80) ? XDP_DROP : XDP_PASS;
}

SEC("cgroup_skb/ingress")
int at_cgroup(struct __sk_buff *skb)
{
	struct tcphdr tcp;

	if (skb->protocol != bpf_htons(ETH_P_IP) ||
		bpf_skb_load_bytes(skb, sizeof(struct iphdr), &tcp, sizeof(tcp)))
		return 1;
	return tcp.dest != bpf_htons(80);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
