/* The Rust side of src/text/: Jinja chat templates by minijinja. Strings are UTF-8 with a length and may hold NUL bytes.
 * No panic crosses this border. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Owned by whoever it was given to, who gives it back with text_bridge_string_free. Before that data is never NULL. */
typedef struct TextBridgeString {
  char* data;
  size_t length;
} TextBridgeString;

void text_bridge_string_free(TextBridgeString string);

typedef struct TextBridgeTemplate TextBridgeTemplate;

/* Compiles a chat template. The result may be used by several threads at once. NULL: *error says why. */
TextBridgeTemplate* text_bridge_template_new(const char* source, size_t length, TextBridgeString* error);
void text_bridge_template_free(TextBridgeTemplate* chat_template);

/* context: a JSON object of the template's variables. fuel: instructions it may run, so that a loop without end is an
 * error. Returns 1 with the text in *result, or 0 with the reason there. */
int text_bridge_template_render(const TextBridgeTemplate* chat_template, const char* context, size_t length,
                                uint64_t fuel, TextBridgeString* result);

#ifdef __cplusplus
}
#endif
