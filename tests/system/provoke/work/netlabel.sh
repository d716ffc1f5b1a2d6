#!/bin/sh
# NetLabel made, mapped and removed (MAC_UNLBL_ALLOW, MAC_CIPSOV4_*, MAC_CALIPSO_*, MAC_MAP_*); all as before afterwards.
netlabelctl unlbl accept on
netlabelctl cipsov4 add pass doi:77 tags:1
netlabelctl calipso add pass doi:78
netlabelctl map add domain:provoke_t address:203.0.113.0/24 protocol:cipsov4,77
netlabelctl map add domain:provoke_t address:2001:db8::/64 protocol:unlbl
netlabelctl map del domain:provoke_t
netlabelctl cipsov4 del doi:77
netlabelctl calipso del doi:78
netlabelctl cipsov4 del doi:99 2>/dev/null
true
