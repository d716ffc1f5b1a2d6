#!/bin/bash
# nftables and iptables changed in a network namespace of its own (NETFILTER_CFG); packets told by the AUDIT target
# (NETFILTER_PKT); IPsec states and policies (MAC_IPSEC_EVENT); a device made promiscuous (ANOM_PROMISCUOUS).
exec unshare -n bash -c '
ip link set lo up
nft add table inet provoke
nft add chain inet provoke input "{ type filter hook input priority 0; }"
nft add set inet provoke ports "{ type inet_service; }"
nft add element inet provoke ports "{ 22, 80 }"
nft add rule inet provoke input tcp dport @ports counter accept
nft add map inet provoke m "{ type ipv4_addr : verdict; }"
nft delete rule inet provoke input handle 999 2>/dev/null
nft flush ruleset
iptables-legacy -A INPUT -p tcp --dport 22 -j ACCEPT
iptables-nft -A INPUT -p udp --dport 9 -j AUDIT --type accept
ip6tables-nft -A INPUT -p udp --dport 9 -j AUDIT --type drop
iptables-nft -A OUTPUT -p icmp -j AUDIT --type reject
iptables-nft -A OUTPUT -p tcp --dport 9 -j AUDIT --type reject
python3 -I "$0"
ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto comp spi 0x1001 mode tunnel comp deflate
ip xfrm policy add src 192.0.2.0/24 dst 198.51.100.0/24 dir out tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel
ip xfrm policy delete src 192.0.2.0/24 dst 198.51.100.0/24 dir out
ip xfrm state delete src 192.0.2.1 dst 192.0.2.2 proto comp spi 0x1001
ip link add provoke0 type veth peer name provoke1
ip link set provoke0 promisc on
ip link set provoke0 promisc off
ip link del provoke0
nft flush ruleset
' "$(dirname "$0")/netfilter_send.py"
