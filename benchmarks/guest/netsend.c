/* netsend.c: sends MEGABYTES to 10.0.2.2 PORT in pieces of 64 KiB (net.sh; busybox's nc sends single KiB). */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static char piece[65536];
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (argc != 3)
        return 2;
    to.sin_port = htons((unsigned short)atoi(argv[1]));
    inet_pton(AF_INET, "10.0.2.2", &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof to))
        return 1;
    for (long left = atol(argv[2]) << 20; left > 0;) {
        ssize_t n = write(fd, piece, sizeof piece);

        if (n <= 0)
            return 1;
        left -= n;
    }
    shutdown(fd, SHUT_WR);
    return read(fd, piece, 1) != 0; /* the peer has it all */
}
