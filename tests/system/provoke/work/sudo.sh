#!/bin/bash
# sudo allowed, with a working directory, as another user, with odd arguments; refused; a wrong password; su.
as() { setpriv --reuid "$1" --regid "$1" --init-groups "${@:2}"; }
cd /tmp
as alice sudo -n id
as alice sudo -n -u bob -- sh -c 'echo "I am $(id -un)"'
as alice sudo -n -D /etc cat hostname 2>/dev/null
as alice sudo -n /bin/echo 'two words' "it's" 'say "hi"' $'new\nline' 'é'
as alice sudo -n /usr/bin/nothing-here
as bob sudo -n id
echo wrong | as bob sudo -S -p '' id
script -qec 'setpriv --reuid bob --regid bob --init-groups sh -c "echo bob-pass | sudo -S -p \"\" id"' /dev/null
su - alice -c 'id'
echo wrong | as bob su alice -c id
echo alice-pass | as bob su alice -c 'echo as alice'
true
