/* A name service of its own, libnss_held.so.2: the ids from 77000 on are users and groups named held77000 ...
   Below 77010 it does not answer before /etc/answer is there, as a directory server that is slow. */
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

static int known(unsigned id) {
    if (id < 77000 || id >= 77100) return 0;
    while (id < 77010 && access("/etc/answer", F_OK)) usleep(10000);
    return 1;
}

enum nss_status _nss_held_getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size, int *error) {
    (void)error;
    if (!known(uid)) return NSS_STATUS_NOTFOUND;
    snprintf(buffer, size, "held%u", uid);
    *user = (struct passwd){.pw_name = buffer, .pw_passwd = "", .pw_uid = uid, .pw_gid = uid,
                            .pw_gecos = "", .pw_dir = "/", .pw_shell = "/bin/sh"};
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_held_getgrgid_r(gid_t gid, struct group *group, char *buffer, size_t size, int *error) {
    static char *members[] = {NULL};
    (void)error;
    if (!known(gid)) return NSS_STATUS_NOTFOUND;
    snprintf(buffer, size, "held%u", gid);
    *group = (struct group){.gr_name = buffer, .gr_passwd = "", .gr_gid = gid, .gr_mem = members};
    return NSS_STATUS_SUCCESS;
}
