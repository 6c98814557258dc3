// SPDX-License-Identifier: Apache-2.0
#include "comm/store/tcp_store.h"

#include <mutex>
#include <vector>

#include "comm/store/handshake.h"
#include "comm/store/request.h"

namespace tutti::comm {
namespace {

// Each call has a connection to itself, so that a get that waits holds up nobody. Connections are
// used again.
class TcpStore : public Store {
 public:
  TcpStore(const Endpoint& endpoint, const std::string& secret, double deadline_s)
      : endpoint_(endpoint), secret_(secret), deadline_s_(deadline_s) {
    require_argument(!secret.empty(), "store ", endpoint, ": the secret is empty");
    put_back(open(Deadline(deadline_s)));
  }

  void set(const std::string& key, const std::string& value) override {
    const Request request{Request::set, key, value};
    require(ask(request, deadline_s_).has_value(), Errc::timeout, late_text(key, deadline_s_));
  }

  std::string get(const std::string& key, double deadline_s) override {
    const auto answer = ask({Request::get, key, {}}, deadline_s);
    require(answer.has_value(), Errc::timeout, absent_text(to_string(endpoint_), key, deadline_s));
    return answer->value;
  }

  bool check(const std::string& key) override {
    const auto answer = ask({Request::check, key, {}}, deadline_s_);
    require(answer.has_value(), Errc::timeout, late_text(key, deadline_s_));
    return answer->there;
  }

 private:
  std::string late_text(const std::string& key, double deadline_s) const {
    return join("store ", endpoint_, ": no answer about key '", key, "' within ", deadline_s, " s");
  }

  [[noreturn]] void fail_gone() const {
    fail(Errc::comm, "store ", endpoint_, ": the connection ended; who keeps the store has gone");
  }

  // None when there is no answer in time. The connection is closed then: the answer may still come.
  std::optional<Answer> ask(const Request& request, double deadline_s) {
    check_request(request);
    const Deadline deadline(deadline_s);
    Fd socket = take();
    if (socket.get() < 0) socket = open(deadline);
    std::string text;
    Moved moved = send_all(socket, frame_of(request), deadline);
    if (moved == Moved::all) moved = receive_all(socket, text, kFrameHead, deadline);
    if (moved == Moved::all) {
      const auto bytes = body_bytes(text);
      if (!bytes) fail_gone();
      moved = receive_all(socket, text, *bytes, deadline);
    }
    if (moved == Moved::late) return std::nullopt;
    const auto answer = moved == Moved::all ? answer_of(text) : std::nullopt;
    if (!answer) fail_gone();
    put_back(std::move(socket));
    return answer;
  }

  // A server with many strangers at its door may drop us: then once more.
  Fd open(const Deadline& deadline) const {
    for (;;) {
      Fd socket = connect_to(endpoint_, deadline);
      if (is_welcome(socket, deadline)) return socket;
      require(!deadline.passed(), Errc::timeout, "store ", endpoint_,
              ": who listens there did not ", "answer as a store within ", deadline.seconds(),
              " s");
    }
  }

  bool is_welcome(const Fd& socket, const Deadline& deadline) const {
    const Deadline patience(std::min(deadline.left_s(), 5.0));
    std::string text;
    if (receive_all(socket, text, Handshake::kGreetingBytes, patience) != Moved::all) return false;
    require(text.starts_with(Handshake::kName), Errc::comm, "store ", endpoint_,
            ": who listens there is no store of this version of tutti");
    const std::string theirs = text.substr(Handshake::kName.size());
    const std::string ours = random_bytes(Handshake::kNonceBytes);
    const Digest proof = Handshake::proof(secret_, "client", theirs, ours);
    if (send_all(socket, ours + std::string(bytes_of(proof)), patience) != Moved::all) return false;
    if (receive_all(socket, text, Handshake::kVerdictBytes, patience) != Moved::all) return false;
    require(text[0] == Handshake::kWelcome &&
                is_same(Handshake::proof(secret_, "server", theirs, ours), text.substr(1)),
            Errc::comm, "store ", endpoint_,
            ": who listens there has another secret than this rank;", " it belongs to another job");
    return true;
  }

  Fd take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return Fd();
    Fd socket = std::move(idle_.back());
    idle_.pop_back();
    return socket;
  }

  void put_back(Fd socket) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(socket));
  }

  const Endpoint endpoint_;
  const std::string secret_;
  const double deadline_s_;
  std::mutex mutex_;
  std::vector<Fd> idle_;
};

}  // namespace

std::shared_ptr<Store> connect_store(const Endpoint& endpoint, const std::string& secret,
                                     double deadline_s) {
  return std::make_shared<TcpStore>(endpoint, secret, deadline_s);
}

}  // namespace tutti::comm
