// A client that can misbehave: raw bytes over a blocking socket with a time limit.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

namespace retort::testing {

class Client {
 public:
  explicit Client(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // Up to and with `mark`; what came before the connection or the time ended, if it never does.
  std::string read_until(std::string_view mark) {
    while (held_.find(mark) == std::string::npos && receive()) {
    }
    const size_t at = held_.find(mark);
    const size_t size = at == std::string::npos ? held_.size() : at + mark.size();
    std::string text = held_.substr(0, size);
    held_.erase(0, size);
    return text;
  }
  std::string read_to_end() {
    while (receive()) {
    }
    return std::exchange(held_, {});
  }
  // One answer with a Content-Length: head and body.
  std::string read_answer() {
    std::string text = read_until("\r\n\r\n");
    const size_t at = text.find("Content-Length: ");
    if (at == std::string::npos) return text;
    const size_t size = std::stoul(text.substr(at + 16));
    while (held_.size() < size && receive()) {
    }
    text += held_.substr(0, size);
    held_.erase(0, size);
    return text;
  }
  // Whether the server has closed the connection, after at most the time limit.
  bool is_closed() { return !receive() && ended_; }

 private:
  bool receive() {
    char bytes[65536];
    const ssize_t size = ::recv(fd_, bytes, sizeof(bytes), 0);
    if (size <= 0) {
      ended_ = size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
      return false;
    }
    held_.append(bytes, static_cast<size_t>(size));
    return true;
  }

  int fd_;
  std::string held_;
  bool ended_ = false;
};

inline int status_of(std::string_view answer) {
  return answer.size() > 12 && answer.starts_with("HTTP/1.1 ") ? std::stoi(std::string(answer.substr(9, 3))) : 0;
}
inline std::string body_of(std::string_view answer) {
  const size_t at = answer.find("\r\n\r\n");
  return at == std::string_view::npos ? "" : std::string(answer.substr(at + 4));
}

}  // namespace retort::testing
