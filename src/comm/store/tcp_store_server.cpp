// SPDX-License-Identifier: Apache-2.0
// One thread and one poll: it never waits for a single connection.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <map>
#include <optional>
#include <thread>
#include <vector>

#include "comm/store/handshake.h"
#include "comm/store/request.h"
#include "comm/store/tcp_store.h"

namespace tutti::comm {
namespace {

constexpr double kHandshake_s = 2;
constexpr size_t kMostStrangers = 128;
constexpr int kAcceptsAtOnce = 32;
constexpr int kPause_ms = 10;  // when the process has no more descriptors

struct Connection {
  Fd socket;
  std::string nonce;
  Deadline handshake{kHandshake_s};
  bool member = false;  // it has proven that it knows the secret
  std::string in, out;
  std::optional<std::string> awaited = {};  // the key of a get that waits
};

}  // namespace

struct TcpStoreServer::State {
  State(const std::string& address, int port, const std::string& job_secret)
      : secret(job_secret), listener(listen_on(address, port)), wake(eventfd(0, EFD_CLOEXEC)) {
    require(wake.get() >= 0, Errc::io, "eventfd: ", strerror(errno));
    // Signals are the program's: its threads handle them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread = std::thread([this] { serve(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  ~State() {
    const uint64_t one = 1;
    stop = true;
    while (write(wake.get(), &one, sizeof one) < 0 && errno == EINTR) {
    }
    thread.join();
  }

  void serve() {
    while (!stop) {
      std::vector<pollfd> polls = {{wake.get(), POLLIN, 0},
                                   {full ? -1 : listener.get(), POLLIN, 0}};
      for (const Connection& c : connections)
        polls.push_back({c.socket.get(), static_cast<short>(c.out.empty() ? POLLIN : POLLOUT), 0});
      const int ready = poll(polls.data(), polls.size(), patience_ms());
      full = false;
      size_t at = 2;
      for (auto c = connections.begin(); c != connections.end();) {
        const auto next = std::next(c);
        const bool keep = ready <= 0 || polls[at].revents == 0 || serve(*c);
        if (!keep || (!c->member && c->handshake.passed())) remove(c);
        c = next;
        ++at;
      }
      if (ready > 0 && polls[1].revents != 0) accept_some();
    }
  }

  int patience_ms() const {
    if (full) return kPause_ms;
    // Strangers stand in the order of their deadlines.
    for (const Connection& c : connections)
      if (!c.member) return c.handshake.left_ms();
    return -1;
  }

  void remove(std::list<Connection>::iterator c) {
    if (!c->member) {
      ++dropped;
      --strangers;
    }
    connections.erase(c);
  }

  bool remove_oldest_stranger() {
    const auto c = std::find_if(connections.begin(), connections.end(),
                                [](const Connection& other) { return !other.member; });
    if (c == connections.end()) return false;
    remove(c);
    return true;
  }

  void accept_some() {
    for (int i = 0; i < kAcceptsAtOnce; ++i) {
      Fd socket = accept_from(listener);
      if (socket.get() < 0) {
        const bool scarce =
            errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        full = scarce && !remove_oldest_stranger();
        return;
      }
      if (strangers == kMostStrangers) remove_oldest_stranger();
      Connection& c = connections.emplace_back();
      c.socket = std::move(socket);
      c.nonce = random_bytes(Handshake::kNonceBytes);
      c.out = std::string(Handshake::kName) + c.nonce;
      ++strangers;
      if (!flush(c)) remove(std::prev(connections.end()));
    }
  }

  // False when the connection is to be closed.
  bool serve(Connection& c) {
    if (!c.out.empty()) return flush(c);
    char buffer[16384];
    // Not a byte more from a stranger than its proof has.
    const size_t most = c.member ? sizeof buffer : Handshake::kClientBytes - c.in.size();
    const ssize_t got = recv(c.socket.get(), buffer, most, 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0 || c.awaited) return false;
    c.in.append(buffer, static_cast<size_t>(got));
    return c.member ? read_request(c) : read_proof(c);
  }

  static bool flush(Connection& c) {
    while (!c.out.empty()) {
      const ssize_t sent = send(c.socket.get(), c.out.data(), c.out.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EINTR) return errno == EAGAIN;
      if (sent > 0) c.out.erase(0, static_cast<size_t>(sent));
    }
    return true;
  }

  bool read_proof(Connection& c) {
    if (c.in.size() < Handshake::kClientBytes) return true;
    const std::string theirs = c.in.substr(0, Handshake::kNonceBytes);
    const std::string proof = c.in.substr(Handshake::kNonceBytes);
    c.in.clear();
    if (!is_same(Handshake::proof(secret, "client", c.nonce, theirs), proof)) {
      c.out = Handshake::kRefusal + std::string(sizeof(Digest), '\0');
      flush(c);
      return false;
    }
    c.out = Handshake::kWelcome +
            std::string(bytes_of(Handshake::proof(secret, "server", c.nonce, theirs)));
    c.member = true;
    --strangers;
    return flush(c);
  }

  bool read_request(Connection& c) {
    if (c.in.size() < kFrameHead) return true;
    const auto bytes = body_bytes(c.in);
    if (!bytes || c.in.size() > kFrameHead + *bytes) return false;
    if (c.in.size() < kFrameHead + *bytes) return true;
    auto request = request_of(std::string_view(c.in).substr(kFrameHead));
    c.in.clear();
    return request && run(c, *request);
  }

  bool run(Connection& c, Request& request) {
    const auto found = values.find(request.key);
    switch (request.kind) {
      case Request::set:
        for (Connection& other : connections)
          if (other.awaited == request.key) answer(other, {true, request.value});
        values[request.key] = std::move(request.value);
        return answer(c, {});
      case Request::get:
        if (found != values.end()) return answer(c, {true, found->second});
        c.awaited = std::move(request.key);
        return true;
      case Request::check:
        return answer(c, {found != values.end(), {}});
    }
    return false;
  }

  static bool answer(Connection& c, const Answer& what) {
    c.awaited.reset();
    c.out = frame_of(what);
    return flush(c);
  }

  const std::string secret;
  const Fd listener, wake;
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> dropped = 0;
  std::map<std::string, std::string> values;
  std::list<Connection> connections;  // in the order they came
  size_t strangers = 0;
  bool full = false;
  std::thread thread;
};

TcpStoreServer::TcpStoreServer(const std::string& address, int port, const std::string& secret) {
  require_argument(!secret.empty(), "the secret of the store at port ", port, " is empty");
  state_ = std::make_unique<State>(address, port, secret);
}

TcpStoreServer::~TcpStoreServer() = default;
int TcpStoreServer::port() const { return port_of(state_->listener); }
uint64_t TcpStoreServer::dropped() const { return state_->dropped; }

}  // namespace tutti::comm
