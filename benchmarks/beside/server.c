/* A loopback HTTP/1.1 server that costs next to nothing: canned answers by method and path.
 *
 * usage: server TABLE [DELAY_MS [CERTIFICATE.pem KEY.pem]]
 *
 * TABLE has one rule a line: METHOD PATH-PREFIX STATUS CONTENT-TYPE BODY-FILE AFTER-MS. The body
 * file "-" means no body. A rule counts once so much time has passed since the last request that
 * was a POST. The longest prefix wins, of equal ones the one that counts later. The port is printed; the server runs until it is ended. With a delay
 * each answer is held that long, for all connections at once. With a certificate it speaks TLS.
 * GET /-/count tells how many requests there were, and GET /-/bytes how much was answered. One thread, epoll, keep-alive.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RULES = 256, MAX_CONNECTIONS = 8192, READ_SIZE = 1 << 20 };

struct rule { char method[8]; char prefix[256]; double after; size_t prefix_len; char *answer; size_t answer_len; };
struct connection {
  char *in; size_t in_len, in_size;
  const struct rule *pending; double due; size_t sent; int waiting_out;
  SSL *tls;
};

static struct rule rules[MAX_RULES];
static int rule_count, epoll_fd, timer, delayed[MAX_CONNECTIONS], delayed_count;
static struct connection *connections[MAX_CONNECTIONS];
static double delay_seconds, posted;
static unsigned long request_count, byte_count;
static SSL_CTX *tls_context;

static double now(void) {
  struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9;
}

static void die(const char *what) { perror(what); exit(1); }

static void load(const char *path) {
  FILE *table = fopen(path, "r"); if (!table) die(path);
  char method[8], prefix[256], type[128], file[1024]; int status; double after;
  while (fscanf(table, "%7s %255s %d %127s %1023s %lf", method, prefix, &status, type, file, &after) == 6) {
    struct rule *r = &rules[rule_count++];
    strcpy(r->method, method); strcpy(r->prefix, prefix); r->after = after / 1000; r->prefix_len = strlen(prefix);
    size_t size = 0; FILE *body = NULL; struct stat about;
    if (strcmp(file, "-")) {
      body = fopen(file, "rb"); if (!body || fstat(fileno(body), &about)) die(file);
      size = about.st_size;
    }
    r->answer = malloc(size + 512);
    int head = status == 204
      ? sprintf(r->answer, "HTTP/1.1 204 No Content\r\n\r\n")
      : sprintf(r->answer, "HTTP/1.1 %d OK\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n", status, type, size);
    if (body) { if (fread(r->answer + head, 1, size, body) != size) die(file); fclose(body); }
    r->answer_len = head + size;
  }
  fclose(table);
}

static const struct rule *find(const char *method, const char *path) {
  const struct rule *best = NULL;
  double since = now() - posted;
  if (!strcmp(method, "POST")) posted = now();
  for (int i = 0; i < rule_count; i++)
    if (!strcmp(rules[i].method, method) && !strncmp(path, rules[i].prefix, rules[i].prefix_len) && rules[i].after <= since)
      if (!best || rules[i].prefix_len > best->prefix_len
          || (rules[i].prefix_len == best->prefix_len && rules[i].after > best->after)) best = &rules[i];
  return best;
}

static void close_connection(int fd) {
  struct connection *c = connections[fd];
  if (c) { if (c->tls) SSL_free(c->tls); free(c->in); free(c); connections[fd] = NULL; }
  close(fd);
}

/* Like send and recv, over TLS where there is one. */
static ssize_t put(int fd, struct connection *c, const char *data, size_t size) {
  if (!c->tls) return send(fd, data, size, MSG_NOSIGNAL);
  int n = SSL_write(c->tls, data, size > 1 << 20 ? 1 << 20 : (int)size);
  if (n > 0) return n;
  int why = SSL_get_error(c->tls, n);
  errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
  return -1;
}

static ssize_t get(int fd, struct connection *c, char *data, size_t size) {
  if (!c->tls) return recv(fd, data, size, 0);
  int n = SSL_read(c->tls, data, (int)size);
  if (n > 0) return n;
  int why = SSL_get_error(c->tls, n);
  if (why == SSL_ERROR_ZERO_RETURN) return 0;
  errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
  return -1;
}

static void watch(int fd, int out) {
  struct epoll_event e = {.events = out ? EPOLLOUT : EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &e);
}

static void answer(int fd) {
  struct connection *c = connections[fd];
  while (c->sent < c->pending->answer_len) {
    ssize_t n = put(fd, c, c->pending->answer + c->sent, c->pending->answer_len - c->sent);
    if (n < 0 && errno == EAGAIN) { c->waiting_out = 1; watch(fd, 1); return; }
    if (n <= 0) { close_connection(fd); return; }
    c->sent += n; byte_count += n;
  }
  if (c->waiting_out) { c->waiting_out = 0; watch(fd, 0); }
  c->pending = NULL; c->sent = 0;
}

/* The length of a whole request at the start of the buffer; 0 when it is not there yet. */
static size_t whole_request(struct connection *c) {
  char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
  if (!end) return 0;
  size_t head = end - c->in + 4, length = 0;
  *end = 0;
  char *field = strcasestr(c->in, "\r\ncontent-length:");
  if (field) length = strtoul(field + 17, NULL, 10);
  else if (strcasestr(c->in, "\r\ntransfer-encoding: chunked")) {
    *end = '\r';
    char *last = memmem(c->in + head - 2, c->in_len - head + 2, "\r\n0\r\n\r\n", 7);
    return last ? (size_t)(last + 7 - c->in) : 0;
  }
  *end = '\r';
  return c->in_len >= head + length ? head + length : 0;
}

static void handle(int fd) {
  struct connection *c = connections[fd];
  size_t size;
  while (c && !c->pending && (size = whole_request(c))) {
    char method[8] = "", path[1024] = "";
    sscanf(c->in, "%7s %1023s", method, path);
    request_count++;
    if (!strcmp(path, "/-/count") || !strcmp(path, "/-/bytes")) {
      static struct rule count; static char text[160], number[24];
      sprintf(number, "%lu", path[3] == 'c' ? request_count - 1 : byte_count);
      count.answer_len = sprintf(text, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %zu\r\n\r\n%s", strlen(number), number);
      count.answer = text; c->pending = &count;
    } else c->pending = find(method, path);
    memmove(c->in, c->in + size, c->in_len - size); c->in_len -= size;
    if (!c->pending) { fprintf(stderr, "no rule: %s %s\n", method, path); close_connection(fd); return; }
    if (delay_seconds > 0) { c->due = now() + delay_seconds; delayed[delayed_count++] = fd; return; }
    answer(fd);
    c = connections[fd];
  }
}

static void receive(int fd) {
  struct connection *c = connections[fd];
  if (c->in_size - c->in_len < READ_SIZE / 2) { c->in_size += READ_SIZE; c->in = realloc(c->in, c->in_size + 1); }
  ssize_t n = get(fd, c, c->in + c->in_len, c->in_size - c->in_len);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) { close_connection(fd); return; }
  c->in_len += n; c->in[c->in_len] = 0;
  if (!c->pending) handle(fd);
  if (connections[fd] == c && c->tls && SSL_pending(c->tls)) receive(fd);
}

/* Wake up when the first held answer is due, to the microsecond. */
static void set_timer(void) {
  double first = 0;
  for (int i = 0; i < delayed_count; i++) {
    struct connection *c = connections[delayed[i]];
    if (c && c->pending && (!first || c->due < first)) first = c->due;
  }
  struct itimerspec when = {.it_value = {(time_t)first, (long)((first - (time_t)first) * 1e9)}};
  timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void let_go(void) {
  double t = now(); int kept = 0;
  for (int i = 0; i < delayed_count; i++) {
    int fd = delayed[i]; struct connection *c = connections[fd];
    if (!c || !c->pending) continue;
    if (c->due > t) { delayed[kept++] = fd; continue; }
    answer(fd);
  }
  delayed_count = kept;
  set_timer();
}

int main(int argc, char **argv) {
  if (argc < 2) { fprintf(stderr, "usage: server TABLE [DELAY_MS]\n"); return 2; }
  load(argv[1]);
  if (argc > 2) delay_seconds = atof(argv[2]) / 1000;
  signal(SIGPIPE, SIG_IGN);
  if (argc > 4) {
    tls_context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate_chain_file(tls_context, argv[3]) != 1) die(argv[3]);
    if (SSL_CTX_use_PrivateKey_file(tls_context, argv[4], SSL_FILETYPE_PEM) != 1) die(argv[4]);
  }
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 1024)) die("listen");
  getsockname(listener, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port)); fflush(stdout);
  epoll_fd = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.fd = listener}, ready[256];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
  timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event due = {.events = EPOLLIN, .data.fd = timer};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer, &due);
  for (;;) {
    int n = epoll_wait(epoll_fd, ready, 256, -1);
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd;
      if (fd == timer) { uint64_t times; if (read(timer, &times, sizeof times) < 0) continue; continue; }
      if (fd != listener) {
        if (!connections[fd]) continue;
        if (connections[fd]->waiting_out) { answer(fd); if (connections[fd] && !connections[fd]->pending) handle(fd); }
        else receive(fd);
        continue;
      }
      int made;
      while ((made = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (made >= MAX_CONNECTIONS) { close(made); continue; }
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = connections[made] = calloc(1, sizeof(struct connection));
        if (tls_context) { c->tls = SSL_new(tls_context); SSL_set_fd(c->tls, made); SSL_set_accept_state(c->tls); }
        struct epoll_event in = {.events = EPOLLIN, .data.fd = made};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, made, &in);
      }
    }
    if (delayed_count) let_go();
  }
}
