// SPDX-License-Identifier: Apache-2.0
#include "comm/store/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <charconv>
#include <memory>
#include <thread>

#include "core/error.h"

namespace tutti::comm {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

// Gives none, and the reason, for a host that is not known.
Addresses addresses_of(const Endpoint& endpoint, int flags, std::string& reason) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
  if (error != 0) reason = error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
  return {error == 0 ? found : nullptr, freeaddrinfo};
}

Fd new_socket(int family) {
  return Fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
}

void set(const Fd& socket, int level, int option, int value) {
  setsockopt(socket.get(), level, option, &value, sizeof value);
}

bool listens(const Fd& socket, const sockaddr* address, socklen_t bytes) {
  if (socket.get() < 0) return false;
  set(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  return bind(socket.get(), address, bytes) == 0 && listen(socket.get(), SOMAXCONN) == 0;
}

// A socket for IPv6 that takes IPv4 too, or one for IPv4 where there is no IPv6.
Fd listen_on_all(int port) {
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(static_cast<uint16_t>(port));
  Fd socket = new_socket(AF_INET6);
  set(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (listens(socket, reinterpret_cast<sockaddr*>(&six), sizeof six)) return socket;
  if (errno == EADDRINUSE || errno == EACCES) return Fd();
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(static_cast<uint16_t>(port));
  socket = new_socket(AF_INET);
  return listens(socket, reinterpret_cast<sockaddr*>(&four), sizeof four) ? std::move(socket)
                                                                          : Fd();
}

// True when `events` come in time. Errors and ends count: the next call tells them.
bool wait_for(const Fd& socket, short events, const Deadline& deadline) {
  for (;;) {
    pollfd p{socket.get(), events, 0};
    if (poll(&p, 1, deadline.left_ms()) > 0) return true;
    if (deadline.passed()) return false;
  }
}

bool connects(const Fd& socket, const addrinfo& address, const Deadline& deadline) {
  if (socket.get() < 0) return false;
  if (connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS && errno != EINTR) return false;
  if (!wait_for(socket, POLLOUT, deadline)) {
    errno = ETIMEDOUT;
    return false;
  }
  int error = 0;
  socklen_t bytes = sizeof error;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &bytes) == 0) errno = error;
  return error == 0;
}

template <class GetName>
sockaddr_storage name_of(const Fd& socket, const GetName& get_name) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  require(get_name(socket.get(), reinterpret_cast<sockaddr*>(&address), &bytes) == 0, Errc::io,
          "the address of a socket: ", strerror(errno));
  return address;
}

std::string text_of(const sockaddr_storage& address) {
  char text[NI_MAXHOST];
  const int error = getnameinfo(reinterpret_cast<const sockaddr*>(&address), sizeof address, text,
                                sizeof text, nullptr, 0, NI_NUMERICHOST);
  require(error == 0, Errc::io, "the address of a socket: ", gai_strerror(error));
  return text;
}

}  // namespace

std::string to_string(const Endpoint& endpoint) {
  const bool six = endpoint.host.find(':') != std::string::npos;
  return join(six ? "[" : "", endpoint.host, six ? "]:" : ":", endpoint.port);
}

Endpoint parse_endpoint(const std::string& text, std::string_view what) {
  const size_t colon = text.rfind(':');
  Endpoint endpoint;
  bool ok = colon != std::string::npos;
  if (ok) {
    endpoint.host = text.substr(0, colon);
    if (endpoint.host.starts_with('[') && endpoint.host.ends_with(']'))
      endpoint.host = endpoint.host.substr(1, endpoint.host.size() - 2);
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data() + colon + 1, end, endpoint.port);
    ok = read.ec == std::errc() && read.ptr == end && endpoint.port > 0 && endpoint.port <= 65535 &&
         !endpoint.host.empty();
  }
  require_argument(ok, what, " is '", text, "'; HOST:PORT is wanted");
  return endpoint;
}

Fd listen_on(const std::string& address, int port) {
  std::string reason;
  Fd socket;
  if (address.empty()) {
    socket = listen_on_all(port);
    reason = strerror(errno);
  } else {
    const Addresses found = addresses_of({address, port}, AI_PASSIVE, reason);
    for (addrinfo* a = found.get(); a != nullptr && socket.get() < 0; a = a->ai_next) {
      socket = new_socket(a->ai_family);
      if (listens(socket, a->ai_addr, a->ai_addrlen)) break;
      reason = strerror(errno);
      socket = Fd();
    }
  }
  require(socket.get() >= 0, Errc::io, "cannot listen on ",
          to_string(Endpoint{address.empty() ? "*" : address, port}), ": ", reason);
  return socket;
}

int port_of(const Fd& socket) {
  const sockaddr_storage address = name_of(socket, getsockname);
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

std::string own_address(const Fd& socket) { return text_of(name_of(socket, getsockname)); }
std::string peer_address(const Fd& socket) { return text_of(name_of(socket, getpeername)); }

Fd accept_from(const Fd& listener) {
  Fd socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.get() >= 0) set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  return socket;
}

Fd connect_to(const Endpoint& endpoint, const Deadline& deadline) {
  constexpr auto kPause = std::chrono::milliseconds(10);
  constexpr double kOneTry_s = 3;  // an address that swallows packets must not hide the next
  std::string reason;
  for (;;) {
    const Addresses found = addresses_of(endpoint, 0, reason);
    for (const addrinfo* a = found.get(); a != nullptr; a = a->ai_next) {
      Fd socket = new_socket(a->ai_family);
      if (connects(socket, *a, Deadline(std::min(kOneTry_s, deadline.left_s())))) {
        set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
        return socket;
      }
      reason = strerror(errno);
    }
    require(!deadline.passed(), Errc::timeout, "cannot connect to ", to_string(endpoint),
            " within ", deadline.seconds(), " s: ", reason);
    std::this_thread::sleep_for(kPause);
  }
}

Moved send_all(const Fd& socket, std::string_view bytes, const Deadline& deadline) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      if (!wait_for(socket, POLLOUT, deadline)) return Moved::late;
    } else if (errno != EINTR) {
      return Moved::ended;
    }
  }
  return Moved::all;
}

Moved receive_all(const Fd& socket, std::string& into, size_t bytes, const Deadline& deadline) {
  into.resize(bytes);
  for (size_t at = 0; at < bytes;) {
    const ssize_t got = recv(socket.get(), into.data() + at, bytes - at, 0);
    if (got > 0) {
      at += static_cast<size_t>(got);
    } else if (got < 0 && errno == EAGAIN) {
      if (!wait_for(socket, POLLIN, deadline)) return Moved::late;
    } else if (got == 0 || errno != EINTR) {
      return Moved::ended;
    }
  }
  return Moved::all;
}

}  // namespace tutti::comm
