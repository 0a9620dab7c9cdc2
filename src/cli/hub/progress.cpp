#include "cli/hub/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/visible.h"

namespace retort {

using std::chrono::duration;
using std::chrono::steady_clock;

std::string human_bytes(uint64_t bytes) {
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  if (bytes >= 1'000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  return fmt::format("{} B", bytes);
}

void Progress::begin(std::string name, uint64_t total, uint64_t already) {
  name_ = visible_line(name);
  total_ = total;
  already_ = already;
  tenth_ = total == 0 ? 0 : static_cast<int>(already * 10 / total);
  started_ = steady_clock::now();
  drawn_ = {};
  if (!redraws_)
    fmt::print(stderr, "{}  {}{}\n", name_, total == 0 ? "" : human_bytes(total),
               already == 0 ? "" : ", going on from " + human_bytes(already));
}

void Progress::update(uint64_t done) {
  const auto now = steady_clock::now();
  if (redraws_) {
    if (now - drawn_ < std::chrono::milliseconds(100) && done != total_) return;
    drawn_ = now;
    draw(done);
  } else if (total_ > 0 && static_cast<int>(done * 10 / total_) > tenth_) {
    tenth_ = static_cast<int>(done * 10 / total_);
    fmt::print(stderr, "{}  {}0 %\n", name_, tenth_);
  }
}

void Progress::draw(uint64_t done) {
  const double seconds = std::max(duration<double>(steady_clock::now() - started_).count(), 1e-3);
  const double speed = static_cast<double>(done - std::min(done, already_)) / seconds;
  std::string line = fmt::format("{}  {}", name_, human_bytes(done));
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
    const int filled = static_cast<int>(share * 30);
    line = fmt::format("[{:#>{}}{:.>{}}] {:3.0f} %  {} of {}", "", filled, "", 30 - filled, share * 100, name_,
                       human_bytes(total_));
    if (speed > 1 && done < total_) line += fmt::format("  {:.0f} s left", static_cast<double>(total_ - done) / speed);
  }
  fmt::print(stderr, "\r\x1b[2K{}  {}/s", line, human_bytes(static_cast<uint64_t>(speed)));
  std::fflush(stderr);
}

void Progress::end() {
  if (redraws_) fmt::print(stderr, "\n");
}

}  // namespace retort
