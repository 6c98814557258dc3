// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "comm/store/sha256.h"

namespace tutti::comm {

/// How a server and a client show each other that they know a job's secret, which never travels:
///
///   server -> client   greeting: 16 fixed bytes and 32 fresh ones
///   client -> server   32 fresh bytes and its proof
///   server -> client   kWelcome and its proof, or kRefusal and 32 zeros
///
/// A proof is the HMAC of its side's name and both sides' fresh bytes. Nothing else is read from a
/// connection before.
struct Handshake {
  static constexpr std::string_view kName = "tutti store v1\r\n";
  static constexpr size_t kNonceBytes = 32;
  static constexpr size_t kGreetingBytes = kName.size() + kNonceBytes;
  static constexpr size_t kClientBytes = kNonceBytes + sizeof(Digest);
  static constexpr size_t kVerdictBytes = 1 + sizeof(Digest);
  static constexpr char kWelcome = '+', kRefusal = '-';

  static Digest proof(std::string_view secret, std::string_view side, std::string_view server_nonce,
                      std::string_view client_nonce) {
    std::string message(kName);
    message.append(side).append(server_nonce).append(client_nonce);
    return hmac_sha256(secret, message);
  }
};

}  // namespace tutti::comm
