"""Writes golden/chat_templates.json: what transformers makes of conversations by the chat templates people publish.

Run where transformers is installed: python tests/reference/make_chat_golden.py
"""

from __future__ import annotations

import json
from pathlib import Path

# ruff: noqa: E501
TEMPLATES = {
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "chatml, with a default": "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "tags and an end token": "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
    "turns": "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}",
    "inst": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "tags and an end tag": "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
    "instruction": "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] + '\n\n' }}{% elif message['role'] == 'user' %}{{ '### Instruction:\n' + message['content'].strip() + '\n\n'}}{% elif message['role'] == 'assistant' %}{{ '### Response:\n' + message['content'] + eos_token + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}",
    "user and a first sentence": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = 'A chat between a curious user and an assistant.' %}{% endif %}{% for message in loop_messages %}{% if loop.index0 == 0 %}{{ system_message }}{% endif %}{% if message['role'] == 'user' %}{{ ' USER: ' + message['content'].strip() }}{% elif message['role'] == 'assistant' %}{{ ' ASSISTANT: ' + message['content'].strip() + eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}",
    "roles as tags": "{%- for message in messages -%}\n    {{- '<|' ~ message.role ~ '|>' -}}\n    {{- message.content | trim -}}\n    {{- '<|end|>' -}}\n{%- endfor -%}\n{%- if add_generation_prompt -%}\n    {{- '<|assistant|>' -}}\n{%- endif -%}\n",
    "user, indented": "{% for message in messages %}\n    {% if message.role == 'user' %}\nUser: {{ message.content }}\n    {% else %}\nAssistant: {{ message.content }}\n    {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}\nAssistant:{% endif %}",
    "roles as names": "{{ bos_token }}{% for m in messages %}{% if not loop.first %}{{ '\n' }}{% endif %}{{ m['role']|trim }}: {{ m['content'] }}{% endfor %}{% if add_generation_prompt %}{{ '\nassistant:' }}{% endif %}",
    "chatml, with first words": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "one or the other": "{% for m in messages %}{{ '<|user|>' if m['role'] == 'user' else '<|assistant|>' }}{{ m.get('content') }}<|end|>{% endfor %}{{ '<|assistant|>' if add_generation_prompt else '' }}",
    "answers marked": "{%- if tools %}{{ tools | tojson(indent=2) }}{%- endif %}{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>{% generation %}{{ m.content }}<|end|>{% endgeneration %}{% else %}<|user|>{{ m.content }}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "names with a capital": "{% for m in messages %}{{ m.role.capitalize() }}: {{ m['content'] }}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}",
    "blanks and an end": "{% for message in messages %}{% if message['role'] == 'user' %}{{ ' ' }}{% endif %}{{ message['content'] }}{% if not loop.last %}{{ '  ' }}{% endif %}{% endfor %}{{ eos_token }}",
    "with a namespace": "{% set ns = namespace(x=1) %}{% for message in messages %}{{ message.content }}{% endfor %}",
}
CONVERSATIONS = [["Hi there"], ["Hi", "Yes "], ["Say a", "b", "c, d\n e"], ["1", "2", "3", "4"]]
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def main() -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    cases = []
    for name, template in TEMPLATES.items():
        for contents in CONVERSATIONS:
            messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(contents)]
            for prompt in (False, True):
                texts, _ = render_jinja_template(
                    [messages], chat_template=template, add_generation_prompt=prompt, **TOKENS
                )
                cases.append({"name": name, "contents": contents, "prompt": prompt, "text": texts[0]})
    lines = ",\n".join(json.dumps(case) for case in cases)
    target = Path(__file__).parent / "golden" / "chat_templates.json"
    content = (
        f'{{"templates":{json.dumps(TEMPLATES, indent=1)},\n"tokens":{json.dumps(TOKENS)},\n"cases":[\n{lines}\n]}}\n'
    )
    target.write_text(content, encoding="ascii")


if __name__ == "__main__":
    main()
