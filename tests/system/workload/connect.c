/* Connects to ADDRESS PORT and closes at once, COUNT times; with "next", each time to the address that follows. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    int next = count == 5 && strcmp(arguments[4], "next") == 0;
    if ((count != 4 && !next) || inet_pton(AF_INET, arguments[1], &to.sin_addr) != 1)
        return 2;
    to.sin_port = htons(atoi(arguments[2]));
    for (int left = atoi(arguments[3]); left > 0; left--) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(client, (struct sockaddr *)&to, sizeof to) != 0)
            return 1;
        close(client);
        to.sin_addr.s_addr = htonl(ntohl(to.sin_addr.s_addr) + next);
    }
    return 0;
}
