/* The Rust side of src/text/: Jinja chat templates by minijinja. Strings are UTF-8 with a length; those returned are owned by the
 * caller and freed with text_bridge_string_free. A function that fails returns NULL and sets *error. No panic crosses this border. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct TextBridgeTemplate TextBridgeTemplate;

/* Compiles a chat template. The result may be used by several threads at once. */
TextBridgeTemplate* text_bridge_template_new(const char* source, size_t length, char** error);
void text_bridge_template_free(TextBridgeTemplate* chat_template);

/* context: a JSON object of the template's variables. fuel: instructions it may run, so that a loop without end is an error. */
char* text_bridge_template_render(const TextBridgeTemplate* chat_template, const char* context, size_t length, uint64_t fuel,
                                  char** error);

void text_bridge_string_free(char* string);

#ifdef __cplusplus
}
#endif
