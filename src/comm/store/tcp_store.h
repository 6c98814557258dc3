// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "comm/store.h"
#include "comm/store/socket.h"

namespace tutti::comm {

/// Keeps the store of one job: a thread that listens until the object ends.
///
/// Who does not prove within 2 s that it knows the secret is dropped, and so is the oldest such
/// stranger when there are 128: strangers do not delay the job. What travels is authenticated at
/// the start of a connection, and not encrypted.
class TcpStoreServer {
 public:
  /// Listens on `address` (empty: on all), port 0 is a free one. Throws io when it cannot, and
  /// invalid_argument for an empty secret.
  TcpStoreServer(const std::string& address, int port, const std::string& secret);
  ~TcpStoreServer();
  TcpStoreServer(const TcpStoreServer&) = delete;
  TcpStoreServer& operator=(const TcpStoreServer&) = delete;

  int port() const;
  /// Strangers that were turned away.
  uint64_t dropped() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The client of such a store, connected: waits until somebody listens, at most deadline_s, which
/// is also the longest wait for answers to set and check. Throws timeout naming host and port, comm
/// when the two sides do not have the same secret.
std::shared_ptr<Store> connect_store(const Endpoint& endpoint, const std::string& secret,
                                     double deadline_s);

}  // namespace tutti::comm
