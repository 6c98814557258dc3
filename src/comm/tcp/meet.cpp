// SPDX-License-Identifier: Apache-2.0
// Rank 0 gathers all, tells each where the others listen, and waits until all are connected:
//
//   rank r -> 0     Hello                     0 -> rank r     Welcome: who listens where
//   rank r -> s<r   Hello                     s -> r          Acknowledgement
//   rank r -> 0     Acknowledgement: "done"   0 -> rank r     Welcome: go, or why not
#include "comm/tcp/meet.h"

#include <algorithm>
#include <thread>

#include "comm/blame.h"
#include "comm/tcp/greeting.h"
#include "core/error.h"

namespace tutti::comm {
namespace {

constexpr int kLookMs = 20;
constexpr double kGraceS = 2;     // for rank 0's answer, beyond the time it may wait
constexpr double kConnectS = 10;  // for all connections once all have come
constexpr size_t kSecretBytes = 32;

Hello hello_of(const Arrival& arrival, const std::string& address, int port,
               const std::string& secret) {
  Hello hello{};
  hello.rank = arrival.rank;
  hello.port = port;
  hello.layout = arrival.layout;
  require_argument(!address.empty() && address.size() < sizeof hello.address, "group '",
                   arrival.name, "': address '", address, "': 1 to ", sizeof hello.address - 1,
                   " bytes are possible");
  address.copy(hello.address, sizeof hello.address - 1);
  random_bytes(sizeof hello.nonce).copy(hello.nonce, sizeof hello.nonce);
  hello.proof = proof_of(hello, secret, "guest", {hello.nonce, sizeof hello.nonce});
  return hello;
}

std::string_view nonce_of(const Hello& hello) { return {hello.nonce, sizeof hello.nonce}; }

template <class Message>
bool tell(const Fd& socket, const Message& message) {
  return send_all(socket, bytes_of_message(message), Deadline(1)) == Moved::all;
}

Acknowledgement acknowledgement(const std::string& secret, std::string_view side,
                                std::string_view nonce) {
  Acknowledgement a;
  a.proof = proof_of(a, secret, side, nonce);
  return a;
}

/// Rank 0.
class Host {
 public:
  Host(const Arrival& arrival, const std::string& address, std::string secret)
      : arrival_(arrival), secret_(std::move(secret)), door_(address, secret_) {
    guests_.resize(static_cast<size_t>(arrival.layout.size));
  }
  int port() const { return door_.port(); }

  /// `is_ours` says whether the store still names this rank.
  Links gather(const std::function<bool()>& is_ours) {
    const Deadline deadline(arrival_.timeout_s);
    while (!failed() && count_missing() > 0) {
      if (deadline.passed()) refuse(Errc::timeout, missing_text(arrival_, came()));
      door_.wait(kLookMs, sockets());
      check_guests();
      while (auto guest = door_.next()) enter(std::move(*guest));
      if (!is_ours()) refuse(Errc::invalid_argument, twice_text(arrival_));
      if (arrival_.look_about) arrival_.look_about();
    }
    answer("welcome");
    if (!failed()) await_connected();
    answer("go");
    if (failed()) fail(code_, text_);
    Links links;
    for (auto& guest : guests_) links.sockets.push_back(std::move(guest.socket));
    links.secret = secret_;
    return links;
  }

 private:
  struct Place : Door::Guest {
    Incoming<Acknowledgement> done;
  };

  bool failed() const { return !text_.empty(); }
  bool is_here(size_t r) const { return r == 0 || guests_[r].socket.get() >= 0; }
  std::vector<bool> came() const {
    std::vector<bool> came;
    for (size_t r = 0; r < guests_.size(); ++r) came.push_back(is_here(r));
    return came;
  }
  int64_t count_missing() const {
    const auto here = came();
    return std::count(here.begin(), here.end(), false);
  }
  std::vector<int> sockets() const {
    std::vector<int> all;
    for (const Place& guest : guests_) all.push_back(guest.socket.get());
    return all;
  }
  void refuse(Errc code, const std::string& text) {
    if (failed()) return;
    code_ = code;
    text_ = text;
  }

  void enter(Door::Guest guest) {
    Arrival its = arrival_;
    its.rank = guest.hello.rank;
    its.layout = guest.hello.layout;
    const auto r = static_cast<size_t>(its.rank);
    if (its.layout != arrival_.layout) {
      refuse(Errc::invalid_argument, size_text(its, arrival_.layout));
    } else if (r >= guests_.size() || is_here(r)) {
      refuse(Errc::invalid_argument, twice_text(its));
    } else {
      static_cast<Door::Guest&>(guests_[r]) = std::move(guest);
      return;
    }
    others_.push_back(std::move(guest));
  }

  /// Who is connected must not end before all are.
  void check_guests() {
    for (size_t r = 1; r < guests_.size(); ++r)
      if (is_here(r) && !guests_[r].done.read(guests_[r].socket))
        refuse(Errc::comm, gone_text(arrival_, static_cast<int>(r)));
  }

  void await_connected() {
    const Deadline deadline(kConnectS);
    const auto unfinished = [&]() -> size_t {
      size_t r = 1;
      while (r < guests_.size() && guests_[r].done.is_complete()) ++r;
      return r;
    };
    while (!failed() && unfinished() < guests_.size()) {
      door_.wait(kLookMs, sockets());
      check_guests();
      if (deadline.passed())
        refuse(Errc::timeout, gone_text(arrival_, static_cast<int>(unfinished())));
      if (arrival_.look_about) arrival_.look_about();
    }
  }

  void answer(std::string_view side) {
    Welcome welcome{};
    welcome.failed = failed();
    welcome.code = static_cast<int32_t>(code_);
    text_.copy(welcome.text, sizeof welcome.text - 1);
    for (size_t r = 1; !failed() && r < guests_.size(); ++r) {
      memcpy(welcome.addresses[r], guests_[r].hello.address, sizeof welcome.addresses[r]);
      welcome.ports[r] = guests_[r].hello.port;
    }
    const auto say = [&](const Door::Guest& guest) {
      if (guest.socket.get() < 0) return;
      welcome.proof = proof_of(welcome, secret_, side, nonce_of(guest.hello));
      tell(guest.socket, welcome);
    };
    if (told_) return;
    for (const Place& guest : guests_) say(guest);
    for (const Door::Guest& guest : others_) say(guest);
    told_ = failed();
  }

  const Arrival& arrival_;
  std::string secret_;
  Door door_;
  std::vector<Place> guests_;
  std::vector<Door::Guest> others_;  // that cannot be let in
  Errc code_ = Errc::internal;
  std::string text_;
  bool told_ = false;
};

/// Any other rank, connected to rank 0.
class Visitor {
 public:
  Visitor(const Arrival& arrival, const std::string& address, const std::string& secret, Fd host)
      : arrival_(arrival),
        secret_(secret),
        door_(address, secret),
        hello_(hello_of(arrival, address, door_.port(), secret)) {
    sockets_.resize(static_cast<size_t>(arrival.layout.size));
    acknowledged_.resize(sockets_.size());
    sockets_[0] = std::move(host);
  }

  /// False when who listens there is not of this group.
  bool greet() { return tell(sockets_[0], hello_); }

  Links join(double left_s) {
    const Welcome welcome = hear("welcome", Deadline(left_s + kGraceS));
    const Deadline deadline(kConnectS);
    connect_below(welcome, deadline);
    while (!is_connected()) {
      look(deadline);
      while (auto guest = door_.next()) enter(std::move(*guest));
      read_below();
      require(!ended_, Errc::comm, gone_text(arrival_, 0));
      if (host_.is_complete()) break;  // it says why not
    }
    if (!host_.is_complete()) tell(sockets_[0], acknowledgement(secret_, "done", nonce_of(hello_)));
    hear("go", Deadline(kConnectS + kGraceS));
    return {std::move(sockets_), secret_};
  }

 private:
  void look(const Deadline& deadline) {
    std::vector<int> beside;
    for (const Fd& socket : sockets_) beside.push_back(socket.get());
    door_.wait(kLookMs, beside);
    ended_ = !host_.read(sockets_[0]) && !host_.is_complete();
    if (arrival_.look_about) arrival_.look_about();
    require(!deadline.passed(), Errc::timeout, "group '", arrival_.name, "': rank ",
            shown(arrival_, 0), " does not answer");
  }

  Welcome hear(std::string_view side, const Deadline& deadline) {
    while (!host_.is_complete()) {
      look(deadline);
      require(!ended_, Errc::comm, gone_text(arrival_, 0));
    }
    const Welcome welcome = host_.message();
    const bool proved = host_.is_proved(secret_, side, nonce_of(hello_));
    host_ = {};
    require(proved, Errc::comm, "group '", arrival_.name, "': who answers for rank ",
            shown(arrival_, 0), " is somebody else");
    if (welcome.failed != 0) fail(static_cast<Errc>(welcome.code), welcome.text);
    return welcome;
  }

  void connect_below(const Welcome& welcome, const Deadline& deadline) {
    for (int r = 1; r < arrival_.rank; ++r) {
      const auto i = static_cast<size_t>(r);
      const Endpoint there{std::string(welcome.addresses[i]), welcome.ports[i]};
      sockets_[i] = connect_to(there, deadline);
      require(tell(sockets_[i], hello_), Errc::comm, gone_text(arrival_, r));
    }
  }

  void read_below() {
    for (int r = 1; r < arrival_.rank; ++r) {
      const auto i = static_cast<size_t>(r);
      // Whether who has gone was needed is for rank 0 to say.
      if (!acknowledged_[i].is_complete()) acknowledged_[i].read(sockets_[i]);
    }
  }

  void enter(Door::Guest guest) {
    const auto r = static_cast<size_t>(guest.hello.rank);
    if (guest.hello.rank <= arrival_.rank || r >= sockets_.size()) return;
    tell(guest.socket, acknowledgement(secret_, "peer", nonce_of(guest.hello)));
    sockets_[r] = std::move(guest.socket);
  }

  bool is_connected() const {
    for (size_t r = 1; r < sockets_.size(); ++r) {
      const int rank = static_cast<int>(r);
      if (rank > arrival_.rank && sockets_[r].get() < 0) return false;
      if (rank < arrival_.rank && !(acknowledged_[r].is_complete() &&
                                    acknowledged_[r].is_proved(secret_, "peer", nonce_of(hello_))))
        return false;
    }
    return true;
  }

  const Arrival& arrival_;
  const std::string& secret_;
  Door door_;
  Hello hello_;
  std::vector<Fd> sockets_;
  std::vector<Incoming<Acknowledgement>> acknowledged_;
  Incoming<Welcome> host_;
  bool ended_ = false;
};

struct Place {
  Endpoint endpoint;
  std::string secret;
};

std::optional<Place> place_of(Store& store, const std::string& key) {
  if (!store.check(key)) return std::nullopt;
  const std::string text = store.get(key, 1);
  const size_t space = text.find(' ');
  if (space == std::string::npos) return std::nullopt;
  return Place{parse_endpoint(text.substr(0, space), key), text.substr(space + 1)};
}

std::optional<Fd> try_connect(const Endpoint& endpoint, double seconds) try {
  return connect_to(endpoint, Deadline(seconds));
} catch (const Error&) {
  return std::nullopt;
}

}  // namespace

Links meet_over_tcp(Store& store, const Arrival& arrival, const std::string& address) {
  const std::string key = arrival.name + "/rank0";
  const Deadline deadline(arrival.timeout_s);
  for (;;) {
    const std::optional<Place> place = place_of(store, key);
    // Rank 0 tries once: what lies in the store may be of a group that has ended.
    std::optional<Fd> host;
    if (place) host = try_connect(place->endpoint, std::min(0.3, deadline.left_s()));
    if (host) {
      Visitor visitor(arrival, address, place->secret, std::move(*host));
      if (visitor.greet()) return visitor.join(deadline.left_s());
    } else if (arrival.rank == 0) {
      const std::string secret = hex_of(random_bytes(kSecretBytes));
      Host self(arrival, address, secret);
      const std::string word = join(to_string(Endpoint{address, self.port()}), " ", secret);
      store.set(key, word);
      return self.gather([&] { return store.get(key, 1) == word; });
    }
    if (deadline.passed()) break;
    if (arrival.look_about) arrival.look_about();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::vector<bool> came(static_cast<size_t>(arrival.layout.size), true);
  came[0] = false;
  fail(Errc::timeout, missing_text(arrival, came));
}

}  // namespace tutti::comm
