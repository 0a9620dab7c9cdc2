#include "cli/hub/download.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "cli/hub/hub.h"

namespace retort {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 5;  // in a row without a byte of progress
constexpr std::chrono::milliseconds kFirstPause{200};
constexpr long kOk = 200, kPartialContent = 206, kRangeNotSatisfiable = 416;

// How many bytes from here to the end of the file. Nothing: errno says why.
std::optional<uint64_t> hash_all(int fd, Hasher& hasher) {
  std::vector<char> buffer(1 << 20);
  uint64_t size = 0;
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) return size;
    hasher.update({buffer.data(), static_cast<size_t>(count)});
    size += static_cast<uint64_t>(count);
  }
}

// The file that grows, with the hash of what is in it.
class PartialFile {
 public:
  static Result<PartialFile> open(const Download& request);
  PartialFile(PartialFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) { swap_rest(other); }
  PartialFile& operator=(PartialFile&&) = delete;
  ~PartialFile() {
    if (fd_ < 0) return;
    if (size_ == 0) discard();  // nothing came: nothing is left to go on from
    ::close(fd_);
  }

  uint64_t size() const { return size_; }
  const std::string& etag() const { return etag_; }
  bool was_wrong() const { return was_wrong_; }  // said finish, and threw it away
  Status append(std::string_view bytes);
  Status start_over();
  void remember_etag(const std::string& etag);
  Status finish(const Download& request);  // checks and renames
  void discard();

 private:
  PartialFile(int fd, fs::path path, const Download& request)
      : fd_(fd), path_(std::move(path)), digest_(request.digest), total_(request.num_bytes) {}
  void swap_rest(PartialFile& other) {
    path_ = std::move(other.path_);
    etag_ = std::move(other.etag_);
    digest_ = std::move(other.digest_);
    hasher_ = std::move(other.hasher_);
    total_ = other.total_;
    size_ = other.size_;
    was_wrong_ = other.was_wrong_;
  }
  fs::path etag_path() const { return path_.string() + ".etag"; }
  Status hash_what_is_there();

  int fd_;
  fs::path path_;
  std::string etag_;
  Digest digest_;
  std::unique_ptr<Hasher> hasher_;
  uint64_t total_ = 0, size_ = 0;
  bool was_wrong_ = false;
};

// Whether the name still is that of the open file: whoever held the lock before may have renamed or removed it.
bool is_named(int fd, const fs::path& path) {
  struct stat opened{}, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

// Open, and locked for this process alone until it is closed: two that wrote to it at once would spoil it.
Result<int> open_locked(const fs::path& path) {
  while (true) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return fail(ErrorKind::kIo, "[download] {}: {}", path.string(), std::strerror(errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      fmt::print(stderr, "{} is being downloaded already: waiting for that\n", path.stem().string());
      ::flock(fd, LOCK_EX);
    }
    if (is_named(fd, path)) return fd;
    ::close(fd);
  }
}

Result<PartialFile> PartialFile::open(const Download& request) {
  fs::path path = request.destination.string() + ".partial";
  RETORT_ASSIGN(const int fd, open_locked(path));
  PartialFile file(fd, path, request);
  std::ifstream(file.etag_path()) >> file.etag_;
  RETORT_TRY(file.hash_what_is_there());
  return file;
}

Status PartialFile::hash_what_is_there() {
  hasher_ = std::make_unique<Hasher>(digest_.kind, total_);
  const auto size = hash_all(fd_, *hasher_);
  if (!size) return fail(ErrorKind::kIo, "[download] {}: {}", path_.string(), std::strerror(errno));
  size_ = *size;
  if (total_ > 0 && size_ > total_) return start_over();
  return {};
}

Status PartialFile::append(std::string_view bytes) {
  hasher_->update(bytes);
  size_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(ErrorKind::kIo, "[download] {}: {}", path_.string(), std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

Status PartialFile::start_over() {
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0)
    return fail(ErrorKind::kIo, "[download] {}: {}", path_.string(), std::strerror(errno));
  etag_.clear();
  hasher_ = std::make_unique<Hasher>(digest_.kind, total_);
  size_ = 0;
  return {};
}

void PartialFile::remember_etag(const std::string& etag) {
  // A weak tag, or one with blanks, does not identify bytes.
  const bool strong = etag.starts_with('"') && etag.find(' ') == std::string::npos;
  etag_ = strong ? etag : "";
  std::ofstream(etag_path(), std::ios::trunc) << etag_;
}

void PartialFile::discard() {
  std::error_code ignored;
  fs::remove(path_, ignored);
  fs::remove(etag_path(), ignored);
}

Status PartialFile::finish(const Download& request) {
  const std::string hex = hasher_->hex();
  if (hex != digest_.hex) {
    was_wrong_ = true;
    discard();
    return fail(ErrorKind::kBadInput, "[download] {}: expected {} {}, the bytes from {} have {}; they were thrown away",
                request.destination.filename().string(),
                digest_.kind == Digest::Kind::kSha256 ? "SHA-256" : "git SHA-1", digest_.hex,
                without_password(request.url), hex);
  }
  std::error_code error;
  if (::fsync(fd_) == 0)
    fs::rename(path_, request.destination, error);
  else
    error = std::error_code(errno, std::generic_category());
  if (error) return fail(ErrorKind::kIo, "[download] {}: {}", request.destination.string(), error.message());
  fs::remove(etag_path(), error);
  return {};
}

// "bytes 100-199/200": where the piece begins and how long the whole is. Nothing when it is not that.
struct ContentRange {
  uint64_t first, total;
};
std::optional<ContentRange> parse_content_range(const std::string& text) {
  unsigned long long first = 0, last = 0, total = 0;
  if (std::sscanf(text.c_str(), "bytes %llu-%llu/%llu", &first, &last, &total) != 3) return std::nullopt;
  return ContentRange{first, total};
}

enum class Attempt { kWhole, kBroken };

// One request for what is still missing.
class Fetch {
 public:
  Fetch(const Download& request, PartialFile& file, Progress& progress)
      : request_(request), file_(file), progress_(progress) {}

  Result<Attempt> run(HttpClient& http) {
    HttpRequest get{.url = request_.url, .headers = request_.headers};
    offset_ = file_.size();
    if (offset_ > 0) {
      get.headers.push_back(fmt::format("Range: bytes={}-", offset_));
      if (!file_.etag().empty()) get.headers.push_back("If-Range: " + file_.etag());
    }
    get.on_body = [this](const HttpHead& head, std::string_view piece) { return take(head, piece); };
    const auto outcome = http.send(get);
    RETORT_TRY(status_);
    const long status = outcome.head.status;
    error_ = fmt::format("[download] {}: {}", address_told(outcome.head, request_.url), outcome.error);
    if (status == kRangeNotSatisfiable) {
      error_ = hub_error(outcome.head, request_.url).message;
      RETORT_TRY(file_.start_over());
      return Attempt::kBroken;
    }
    if (status == 429 || status >= 500) {
      error_ = hub_error(outcome.head, request_.url).message;
      return Attempt::kBroken;
    }
    if (status != 0 && status != kOk && status != kPartialContent)
      return tl::unexpected<Error>(hub_error(outcome.head, request_.url));
    if (!outcome.complete) return Attempt::kBroken;
    if (!begun_) RETORT_TRY(begin(outcome.head));  // an empty body
    if (request_.num_bytes > 0 && file_.size() < request_.num_bytes) {
      error_ = fmt::format("[download] {}: the server ended after {} of {} bytes",
                           address_told(outcome.head, request_.url), file_.size(), request_.num_bytes);
      return Attempt::kBroken;
    }
    return Attempt::kWhole;
  }
  const std::string& error() const { return error_; }  // why it broke, with the address

 private:
  // The head of the answer decides whether the bytes go on from what is there or start anew.
  Status begin(const HttpHead& head) {
    begun_ = true;
    if (head.status == kPartialContent) {
      const auto range = parse_content_range(head.header("content-range"));
      if (!range || range->first != offset_)
        return fail(ErrorKind::kIo, "[download] {}: asked for bytes from {}, got '{}'", without_password(request_.url),
                    offset_, head.header("content-range"));
      total_ = range->total;
    } else {
      if (offset_ > 0) RETORT_TRY(file_.start_over());
      total_ = std::strtoull(head.header("content-length").c_str(), nullptr, 10);
    }
    if (request_.num_bytes > 0) total_ = request_.num_bytes;
    file_.remember_etag(head.header("etag"));
    progress_.begin(request_.destination.filename().string(), total_, file_.size());
    return {};
  }

  bool take(const HttpHead& head, std::string_view piece) {
    if (head.status != kOk && head.status != kPartialContent) return true;  // an error's text; nobody needs it
    if (!begun_) status_ = begin(head);
    if (status_ && total_ > 0 && file_.size() + piece.size() > total_)
      status_ = fail(ErrorKind::kTooLarge, "[download] {}: the server sends more than the {} bytes expected",
                     without_password(request_.url), total_);
    if (status_) status_ = file_.append(piece);
    if (status_) progress_.update(file_.size());
    return status_.has_value();
  }

  const Download& request_;
  PartialFile& file_;
  Progress& progress_;
  uint64_t offset_ = 0, total_ = 0;
  bool begun_ = false;
  Status status_;
  std::string error_;
};

Status check_space(const Download& request, uint64_t already) {
  std::error_code error;
  const auto space = fs::space(request.destination.parent_path(), error);
  if (!error && request.num_bytes > already && space.available < request.num_bytes - already)
    return fail(ErrorKind::kIo, "[download] {}: {} are needed in {}, {} are free (RETORT_CACHE chooses another folder)",
                request.destination.filename().string(), human_bytes(request.num_bytes - already),
                request.destination.parent_path().string(), human_bytes(space.available));
  return {};
}

// As many requests as it takes, while each brings something.
Status fetch_rest(HttpClient& http, const Download& request, PartialFile& file, Progress& progress) {
  std::string reason;
  uint64_t furthest = file.size();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kFirstPause * (1 << (attempt - 1)));
    if (request.num_bytes > 0 && file.size() == request.num_bytes) return file.finish(request);
    Fetch fetch(request, file, progress);
    RETORT_ASSIGN(const auto result, fetch.run(http));
    if (result == Attempt::kWhole) {
      progress.end();
      return file.finish(request);
    }
    reason = fetch.error();
    if (file.size() > furthest) attempt = 0;
    furthest = std::max(furthest, file.size());
  }
  if (file.size() == 0) return fail(ErrorKind::kIo, "{}", reason);
  return fail(ErrorKind::kIo, "{}. What has come is kept: the same command goes on from {}", reason,
              human_bytes(file.size()));
}

bool has_right_bytes(const Download& request) {
  std::error_code error;
  if (fs::file_size(request.destination, error) != request.num_bytes || error) return false;
  const int fd = ::open(request.destination.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  Hasher hasher(request.digest.kind, request.num_bytes);
  const auto size = hash_all(fd, hasher);
  ::close(fd);
  return size && hasher.hex() == request.digest.hex;
}

}  // namespace

bool is_downloaded(const Download& request) {
  if (has_right_bytes(request)) return true;
  std::error_code error;
  if (fs::file_size(request.destination, error) == request.num_bytes && !error)
    fmt::print(stderr, "{}: its bytes are not those of its hash\n", request.destination.filename().string());
  return false;
}

Status download(HttpClient& http, const Download& request, Progress& progress) {
  std::error_code error;
  fs::create_directories(request.destination.parent_path(), error);
  if (error)
    return fail(ErrorKind::kIo, "[download] {}: {}", request.destination.parent_path().string(), error.message());
  RETORT_ASSIGN(auto file, PartialFile::open(request));
  if (request.num_bytes > 0 && has_right_bytes(request)) {
    // Another process has brought it while this one waited.
    file.discard();
    return {};
  }
  RETORT_TRY(check_space(request, file.size()));
  const uint64_t found = file.size();
  auto fetched = fetch_rest(http, request, file, progress);
  if (found == 0 || !file.was_wrong()) return fetched;
  // The wrong bytes may be those that lay here.
  fmt::print(stderr, "{}: what an earlier run left of it ({}) does not fit: fetching all of it anew\n",
             request.destination.filename().string(), human_bytes(found));
  RETORT_ASSIGN(auto anew, PartialFile::open(request));
  return fetch_rest(http, request, anew, progress);
}

}  // namespace retort
