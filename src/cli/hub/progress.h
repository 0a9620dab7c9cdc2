// How far a download is: a bar that redraws itself where it can, else a line every tenth of the way.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace retort {

std::string human_bytes(uint64_t bytes);  // "1.12 GB"

class Progress {
 public:
  explicit Progress(bool redraws) : redraws_(redraws) {}
  void begin(std::string name, uint64_t total, uint64_t already);  // total 0: not known
  void update(uint64_t done);
  void end();

 private:
  void draw(uint64_t done);

  bool redraws_;
  std::string name_;
  uint64_t total_ = 0, already_ = 0;
  int tenth_ = 0;
  std::chrono::steady_clock::time_point started_, drawn_;
};

}  // namespace retort
