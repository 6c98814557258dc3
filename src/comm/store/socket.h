// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "comm/deadline.h"
#include "comm/fd.h"

namespace tutti::comm {

/// Where somebody listens: a host's name or address, IPv4 or IPv6, and a port.
struct Endpoint {
  std::string host;
  int port = 0;
};

/// "host:29500", "[::1]:29500"
std::string to_string(const Endpoint& endpoint);
/// The other way; throws invalid_argument naming `what` was to be understood.
Endpoint parse_endpoint(const std::string& text, std::string_view what);

/// A socket that listens on this address (empty: on all), IPv4 and IPv6; port 0 is a free one.
/// Throws io naming the endpoint. Like all sockets here it does not block, and exec closes it.
Fd listen_on(const std::string& address, int port);
int port_of(const Fd& socket);
/// The two ends of a connection, in numbers.
std::string own_address(const Fd& socket);
std::string peer_address(const Fd& socket);

/// The next stranger at the door; below 0 with errno when there is none.
Fd accept_from(const Fd& listener);

/// A connection; tries all addresses of the host again and again, since who listens may start
/// later. Throws timeout with the last reason.
Fd connect_to(const Endpoint& endpoint, const Deadline& deadline);

/// How an exchange ended.
enum class Moved { all, ended, late };

/// Sends all bytes; `ended` when the peer has closed.
Moved send_all(const Fd& socket, std::string_view bytes, const Deadline& deadline);
/// Receives so many bytes.
Moved receive_all(const Fd& socket, std::string& into, size_t bytes, const Deadline& deadline);

}  // namespace tutti::comm
