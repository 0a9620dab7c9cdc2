#include <gtest/gtest.h>

#include <set>

#include "server/http/guard.h"
#include "server/http/message.h"
#include "server/http/router.h"

namespace retort::http {
namespace {

TEST(Message, FindsHeadersWithoutRegardToCase) {
  const Request request{.headers = {{"X-Request-ID", "a"}, {"Host", "b"}, {"host", "c"}}};
  EXPECT_EQ(request.header("x-request-id"), "a");
  EXPECT_EQ(request.header("absent"), "");
  EXPECT_EQ(request.count("HOST"), 2u);
}

TEST(Message, TakesThePathOfATarget) {
  EXPECT_EQ(path_of_target("/v1/models?x=1"), "/v1/models");
  EXPECT_EQ(path_of_target("/v1/models/a%2Fb%20c"), "/v1/models/a/b c");
  EXPECT_EQ(path_of_target("http://host:1/x?y"), "/x");
  for (const char* bad : {"", "*", "/%zz", "/%00", "/a%0d%0ab", "nonsense", "/a b", "http://"})
    EXPECT_FALSE(path_of_target(bad)) << bad;
}

TEST(Message, TakesTheAuthorityOfATarget) {
  EXPECT_EQ(authority_of_target("http://Host:1/x?y"), "Host:1");
  EXPECT_EQ(authority_of_target("http://me@%6c/x"), "me@%6c");
  for (const char* none : {"/x", "//host/x", "*", "", "nonsense"}) EXPECT_EQ(authority_of_target(none), "") << none;
}

TEST(Message, MakesIdsThatDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(make_request_id());
  EXPECT_EQ(ids.size(), 1000u);
  EXPECT_TRUE(is_sane_request_id(*ids.begin()));
  EXPECT_FALSE(is_sane_request_id(""));
  EXPECT_FALSE(is_sane_request_id("two words"));
  EXPECT_FALSE(is_sane_request_id("line\nbreak"));
  EXPECT_FALSE(is_sane_request_id(std::string(129, 'x')));
}

TEST(Message, MakesTextOfClientsFitForALogLine) {
  EXPECT_EQ(printable("plain, é and 😀"), "plain, é and 😀");
  EXPECT_EQ(printable("a\nb\r\x1b[2J\x7f"), "a\\x0ab\\x0d\\x1b[2J\\x7f");
  EXPECT_EQ(printable("\u009b2J, \u00a0"), "\\x9b2J, \u00a0") << "terminals take U+009B for ESC [";
  EXPECT_EQ(printable("a\xff"), "a\uFFFD");
  EXPECT_LT(printable(std::string(100'000, '\n')).size(), 5000u);
}

TEST(Message, WritesErrorsInTheShapeOfOpenAi) {
  const Response response = error_response({.status = 429,
                                            .message = "queue full",
                                            .param = "n",
                                            .code = "busy",
                                            .retry_after = 2,
                                            .retry_is_useless = true});
  EXPECT_EQ(response.body, R"({"error":{"message":"queue full","type":"rate_limit_error","param":"n","code":"busy"}})");
  EXPECT_EQ(response.headers, (Headers{{"Retry-After", "2"}, {"x-should-retry", "false"}}));
  EXPECT_EQ(error_response({.status = 400, .message = "x"}).body,
            R"({"error":{"message":"x","type":"invalid_request_error","param":null,"code":null}})");
}

Router some_router() {
  Router router;
  for (const auto& [method, path] : {std::pair("GET", "/v1/models"),
                                     {"GET", "/v1/models/*"},
                                     {"GET", "/things/*"},
                                     {"POST", "/things/*/end"},
                                     {"POST", "/tokenize"},
                                     {"GET", "/both"},
                                     {"POST", "/both"}})
    router.add({.method = method, .path = path});
  return router;
}

TEST(Router, FindsByMethodAndPath) {
  const Router router = some_router();
  ASSERT_NE(router.match("POST", "/tokenize").route, nullptr);
  EXPECT_EQ(router.match("POST", "/both").route->method, "POST");
  EXPECT_EQ(router.match("HEAD", "/both").route->method, "GET");
  EXPECT_EQ(router.match("GET", "/v1/models").route->path, "/v1/models");
  const Route* one = router.match("GET", "/v1/models/owner/name").route;
  ASSERT_NE(one, nullptr);
  EXPECT_EQ(Router::rest_of_path(*one, "/v1/models/owner/name"), "owner/name");
}

TEST(Router, PrefersTheLongerPath) {
  const Router router = some_router();
  const Route* end = router.match("POST", "/things/a/b/end").route;
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(Router::rest_of_path(*end, "/things/a/b/end"), "a/b");
  EXPECT_EQ(router.match("GET", "/things/a/end").allowed_methods, "POST");
  EXPECT_EQ(router.match("POST", "/things/a").allowed_methods, "GET, HEAD");
  EXPECT_EQ(router.match("GET", "/things/end").route->path, "/things/*") << "nothing stands for the star";
}

TEST(Router, TellsNoSuchPathFromNotThisMethod) {
  const Router router = some_router();
  EXPECT_EQ(router.match("GET", "/nowhere").allowed_methods, "");
  EXPECT_EQ(router.match("GET", "/v1/models/").allowed_methods, "");
  const Router::Match match = router.match("DELETE", "/both");
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allowed_methods, "GET, HEAD, POST");
}

TEST(Router, KnowsTheShapeOfErrorsByThePath) {
  Router router;
  const auto other = [](const ApiError& error) { return Json(error.message); };
  router.shape_errors("/api/", other);
  EXPECT_EQ(router.error_body("/api/nowhere")({.message = "x"}), Json("x"));
  for (const char* path : {"/v1/models", "/apiary", ""})
    EXPECT_EQ(router.error_body(path)({.message = "x"}), error_json({.message = "x"})) << path;
}

TEST(Guard, AsksForAKeyOnlyWhenThereIsOne) {
  EXPECT_FALSE(Guard({}).asks_for_key());
  const Guard guard({.api_keys = {"first", "second"}});
  EXPECT_FALSE(guard.key_of({}));
  EXPECT_FALSE(guard.key_of({.headers = {{"Authorization", "Bearer "}}}));
  EXPECT_FALSE(guard.key_of({.headers = {{"Authorization", "Bearer secon"}}}));
  EXPECT_FALSE(guard.key_of({.headers = {{"Authorization", "second"}}}));
  EXPECT_EQ(guard.key_of({.headers = {{"Authorization", "Bearer second"}}}), 1);
  EXPECT_EQ(guard.key_of({.headers = {{"authorization", "Bearer first"}}}), 0);
}

TEST(Guard, LetsOnlyLoopbackNamesReachALoopbackServer) {
  const Guard guard({.allowed_hosts = {"Retort.lan", "fd00::1", ""}, .check_host = true});
  for (const char* good : {"localhost", "LOCALHOST:8000", "127.0.0.1:80", "127.8.9.1", "[::1]:8000", "[::1]",
                           "a.localhost", "retort.lan:8000", "RETORT.LAN", "localhost.", "localhost.:8000",
                           "Retort.lan.", "[fd00::1]:8000", "[fd00:0::1]"})
    EXPECT_TRUE(guard.is_host_allowed(good)) << good;
  for (const char* bad :
       {"", "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "[::2]",
        "10.0.0.1", "[", "[::1].evil.example", "127.0.0.1:80:evil", "evil@localhost", "%6cocalhost", "retort%2elan",
        "[v1.localhost]", "localhost..", ".", ".localhost", "..localhost", "a..localhost"})
    EXPECT_FALSE(guard.is_host_allowed(bad)) << bad;
  EXPECT_TRUE(Guard({}).is_host_allowed("anything"));
}

TEST(Guard, KnowsWhatNoHostOrOriginEverIs) {
  for (const char* good :
       {"retort.lan", "Retort.Lan.", "10.0.0.5", "fd00::1", "[fd00::1]", "my_box", "xn--caf-dma.example"})
    EXPECT_TRUE(is_host_name(good)) << good;
  for (const char* bad : {"", "a:80", "a:", "[fd00::1]:80", "a/b", "http://a", "*", "*.lan", "a b", "%61", "[v1.a]",
                          "u@a", ".", "caf\u00e9.example"})
    EXPECT_FALSE(is_host_name(bad)) << bad;
  for (const char* good : {"*", "null", "https://page.example", "http://localhost:3000", "HTTPS://Page.Example",
                           "http://[::1]:8000", "app://localhost", "chrome-extension://abc", "file://", "https://a:80"})
    EXPECT_TRUE(is_origin(good)) << good;
  for (const char* bad : {"",
                          "a/b",
                          "page.example",
                          "page.example:80",
                          "https://page.example/",
                          "https://a/b",
                          "https://",
                          "https://a:443",
                          "http://a:80",
                          "https://u@a",
                          "https://a?b",
                          "https://*.example",
                          "https://a:",
                          "https://a b",
                          "://a",
                          "//a",
                          "http://a:99999",
                          "http://a:08080",
                          "http://[0:0::1]:3000",
                          "http://[FD00::1]"})
    EXPECT_FALSE(is_origin(bad)) << bad;
}

TEST(Guard, KeepsCorsOffUnlessAllowed) {
  const Request request{.method = "OPTIONS",
                        .headers = {{"Origin", "http://app.example"},
                                    {"Access-Control-Request-Method", "POST"},
                                    {"Access-Control-Request-Headers", "authorization, content-type"}}};
  EXPECT_TRUE(Guard({}).cors_headers(request).empty());
  EXPECT_FALSE(Guard({}).preflight(request));
  EXPECT_FALSE(Guard({.allowed_origins = {"http://other.example"}}).preflight(request));
  for (const char* allowed : {"*", "http://app.example", "HTTP://App.Example"}) {
    const auto answer = Guard({.allowed_origins = {allowed}}).preflight(request);
    ASSERT_TRUE(answer) << allowed;
    EXPECT_EQ(answer->status, 204);
    const Request common{.headers = Guard({.allowed_origins = {allowed}}).cors_headers(request)};
    EXPECT_EQ(common.header("Access-Control-Allow-Origin"), "http://app.example");
    const Request as_request{.headers = answer->headers};
    EXPECT_EQ(as_request.header("Access-Control-Allow-Headers"), "authorization, content-type");
    EXPECT_EQ(as_request.header("Access-Control-Allow-Methods"), "GET, POST, DELETE, OPTIONS");
  }
}

}  // namespace
}  // namespace retort::http
