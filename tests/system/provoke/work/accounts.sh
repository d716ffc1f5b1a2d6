#!/bin/sh
# Accounts and groups made, changed, locked and removed; refusals too.
groupadd -g 4250 provokers
useradd -m -u 4251 -g provokers -c 'A Person' -s /bin/sh provoked
useradd -u 4251 provoked2 2>/dev/null                 # uid taken
usermod -c 'Another Person' -s /bin/bash provoked
usermod -aG provokers provoked
usermod -l provoked3 provoked
usermod -u 4252 provoked3
usermod -L provoked3
usermod -U provoked3 2>/dev/null
echo 'provoked3:throw-away' | chpasswd
printf 'x\nx\n' | passwd provoked3 >/dev/null 2>&1
passwd -l provoked3 >/dev/null
passwd -S provoked3 >/dev/null
passwd -u provoked3 >/dev/null
passwd -e provoked3 >/dev/null
chage -M 90 -W 7 provoked3
chage -l provoked3 >/dev/null
chfn -r 12 provoked3
chsh -s /bin/sh provoked3
groupmod -n provokers2 provokers
gpasswd -a provoked3 provokers2 >/dev/null
gpasswd -A provoked3 provokers2
gpasswd -d provoked3 provokers2 >/dev/null
gpasswd -r provokers2
setpriv --reuid bob --regid bob --init-groups chage -l root 2>/dev/null
setpriv --reuid bob --regid bob --init-groups passwd -S root >/dev/null 2>&1
newgrp nothing-here </dev/null 2>/dev/null
userdel -r provoked3 2>/dev/null
groupdel provokers2
groupdel provokers 2>/dev/null
userdel provoked 2>/dev/null
true
