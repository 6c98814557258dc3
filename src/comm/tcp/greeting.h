// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "comm/arrival.h"
#include "comm/collective.h"
#include "comm/deadline.h"
#include "comm/fd.h"
#include "comm/store/sha256.h"
#include "comm/store/socket.h"

namespace tutti::comm {

/// What ranks that meet say to each other, as it lies in memory. Each message ends with an HMAC of
/// itself, the side that speaks and the nonce of the one that came, under the group's secret.
struct Hello {
  static constexpr uint64_t kMagic = 0x74757474692d7431;  // changes with what ranks say
  uint64_t magic = kMagic;
  int32_t rank = 0;
  int32_t port = 0;  ///< where it listens
  Layout layout;
  char address[64] = {};
  char nonce[32] = {};
  Digest proof{};
};

struct Welcome {
  uint64_t magic = Hello::kMagic;
  int32_t failed = 0, code = 0;
  char text[1000] = {};
  char addresses[kMostRanks][sizeof(Hello::address)] = {};
  int32_t ports[kMostRanks] = {};
  Digest proof{};
};

struct Acknowledgement {
  uint64_t magic = Hello::kMagic;
  Digest proof{};
};

/// The proof that belongs at the end of a message, but for which it is complete.
template <class Message>
Digest proof_of(const Message& message, std::string_view secret, std::string_view side,
                std::string_view nonce) {
  std::string text(side);
  text.append(nonce).append(reinterpret_cast<const char*>(&message), offsetof(Message, proof));
  return hmac_sha256(secret, text);
}

template <class Message>
std::string_view bytes_of_message(const Message& message) {
  return {reinterpret_cast<const char*>(&message), sizeof message};
}

/// A message that arrives in pieces.
template <class Message>
class Incoming {
 public:
  /// Reads what has come; false when the connection has ended.
  bool read(const Fd& socket) {
    while (bytes_ < sizeof message_) {
      const ssize_t got = receive_some(socket, reinterpret_cast<char*>(&message_) + bytes_,
                                       sizeof message_ - bytes_);
      if (got < 0) return false;
      if (got == 0) return true;
      bytes_ += static_cast<size_t>(got);
    }
    return true;
  }
  bool is_complete() const { return bytes_ == sizeof message_; }
  bool is_proved(std::string_view secret, std::string_view side, std::string_view nonce) const {
    return message_.magic == Hello::kMagic &&
           is_same(message_.proof, bytes_of(proof_of(message_, secret, side, nonce)));
  }
  const Message& message() const { return message_; }

 private:
  /// Bytes that were there; below 0 at the end of the connection.
  static ssize_t receive_some(const Fd& socket, char* to, size_t most);
  Message message_;
  size_t bytes_ = 0;
};

/// Listens, and lets in those who prove that they know the secret; strangers go after 2 s.
class Door {
 public:
  struct Guest {
    Fd socket;
    Hello hello;
  };

  Door(const std::string& address, std::string secret);
  int port() const;
  const Fd& listener() const { return listener_; }
  /// Waits a little for somebody to come; `beside` are other sockets whose news end the wait.
  void wait(int ms, const std::vector<int>& beside) const;
  /// The next who has proved itself; none when there is none now.
  std::optional<Guest> next();

 private:
  struct Stranger {
    Fd socket;
    Incoming<Hello> hello;
    Deadline deadline{2};
  };
  static constexpr size_t kMostStrangers = 128;
  Fd listener_;
  std::string secret_;
  std::vector<Stranger> strangers_;
};

}  // namespace tutti::comm
