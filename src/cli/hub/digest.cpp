#include "cli/hub/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "base/result.h"

namespace retort {

struct Hasher::Impl {
  struct Free {
    void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context;  // null for kNone
};

Hasher::Hasher(Digest::Kind kind, uint64_t num_bytes) : impl_(std::make_unique<Impl>()) {
  if (kind == Digest::Kind::kNone) return;
  impl_->context.reset(EVP_MD_CTX_new());
  const EVP_MD* algorithm = kind == Digest::Kind::kSha256 ? EVP_sha256() : EVP_sha1();
  RETORT_CHECK(EVP_DigestInit_ex(impl_->context.get(), algorithm, nullptr) == 1);
  if (kind == Digest::Kind::kGitBlob) update(fmt::format("blob {}", num_bytes) + '\0');
}

Hasher::~Hasher() = default;

void Hasher::update(std::string_view bytes) {
  if (impl_->context) RETORT_CHECK(EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::string Hasher::hex() {
  if (!impl_->context) return "";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  RETORT_CHECK(EVP_DigestFinal_ex(impl_->context.get(), digest.data(), &size) == 1);
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace retort
