// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

namespace tutti::comm {

/// A job's store of texts by key, where its ranks leave word for each other. Threads may use it at
/// once. Keys have 1 to kMostKeyBytes bytes, values at most kMostValueBytes: else invalid_argument.
/// Throws comm when the store has gone.
class Store {
 public:
  static constexpr size_t kMostKeyBytes = 512;
  static constexpr size_t kMostValueBytes = 1 << 20;

  virtual ~Store() = default;
  /// Replaces what was there.
  virtual void set(const std::string& key, const std::string& value) = 0;
  /// Waits until the key is there; throws timeout naming the key.
  virtual std::string get(const std::string& key, double deadline_s) = 0;
  /// Whether it is there now.
  virtual bool check(const std::string& key) = 0;
};

/// A store for threads of this process.
std::shared_ptr<Store> local_store();

}  // namespace tutti::comm
