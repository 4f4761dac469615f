"""QMP as programs use it: the greeting, the negotiation, commands with their errors, events, a client that
goes and another that comes. Arguments: the program, further options."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

program, *options = sys.argv[1:]
folder = tempfile.mkdtemp()
path, image = folder + '/qmp', folder + '/image'
with open(image, 'wb') as f:
    f.truncate(65536)


class Client:
    def __init__(self):
        for _ in range(200):
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(path)
                break
            except OSError:
                time.sleep(0.05)
        self.lines = self.socket.makefile('rb')
        self.events = []
        greeting = self.read()['QMP']
        assert greeting['version']['qemu']['major'] == 7 and greeting['capabilities'] == [], greeting

    def read(self):
        line = self.lines.readline()
        assert line, 'the connection was closed'
        return json.loads(line)

    def ask(self, command, **arguments):
        message = {'execute': command, 'id': [command, 1]}
        if arguments:
            message['arguments'] = {k.replace('_', '-'): v for k, v in arguments.items()}
        self.socket.sendall(json.dumps(message).encode())
        while True:
            answer = self.read()
            if 'event' not in answer:
                assert answer.pop('id') == [command, 1]
                return answer
            assert answer['timestamp']['seconds'] > 1e9
            self.events.append(answer['event'])

    def get(self, command, **arguments):
        answer = self.ask(command, **arguments)
        assert 'return' in answer, (command, answer)
        return answer['return']

    def fails(self, kind, text, command, **arguments):
        error = self.ask(command, **arguments)['error']
        assert error['class'] == kind and text in error['desc'], error

    def until(self, event):
        while event not in self.events:
            answer = self.read()
            self.events.append(answer['event'])
        self.events.remove(event)


machine = subprocess.Popen([program, '-cdrom', image, '-m', '32', '-display', 'none', '-serial', 'null', '-S',
                            '-name', 'the guest', '-qmp', 'unix:' + path, *options])
try:
    c = Client()
    c.fails('CommandNotFound', "Expecting capabilities negotiation with 'qmp_capabilities'", 'query-status')
    assert c.get('qmp_capabilities') == {}
    c.fails('CommandNotFound', 'already complete', 'qmp_capabilities')
    assert c.get('query-status') == {'status': 'prelaunch', 'singlestep': False, 'running': False}
    names = {row['name'] for row in c.get('query-commands')}
    assert {'stop', 'cont', 'query-block', 'human-monitor-command'} <= names
    schema = {row['name']: row for row in c.get('query-qmp-schema')}
    assert {name for name, row in schema.items() if row['meta-type'] == 'command'} == names
    assert {'STOP', 'SHUTDOWN'} <= {name for name, row in schema.items() if row['meta-type'] == 'event'}
    for row in schema.values():  # each type that is named is there
        named = [row.get('arg-type'), row.get('ret-type'), row.get('element-type')]
        named += [member['type'] for member in row.get('members', [])]
        assert all(name in schema for name in named if name), row
    dump = {m['name']: m for m in schema[schema['screendump']['arg-type']]['members']}
    assert dump['filename'] == {'name': 'filename', 'type': 'str'} and dump['head']['default'] is None
    assert c.get('query-name') == {'name': 'the guest'}
    assert c.get('query-kvm') == {'enabled': False, 'present': False}
    assert [cpu['cpu-index'] for cpu in c.get('query-cpus-fast')] == [0]
    assert c.get('query-memory-size-summary')['base-memory'] == 32 << 20
    drive = c.get('query-block')[0]
    assert drive['device'] == 'ide1-cd0' and drive['inserted']['image']['virtual-size'] == os.path.getsize(image)
    functions = {(f['slot'], f['function']): f for f in c.get('query-pci')[0]['devices']}
    assert functions[0, 0]['id']['vendor'] == 0x8086 and functions[1, 1]['class_info']['class'] == 0x0101
    assert any(t['name'] == 'piix3-ide' for t in c.get('qom-list-types', implements='device'))
    assert any(m['name'] == 'x86-64-v2' for m in c.get('query-cpu-definitions'))
    assert c.get('query-machines')[0]['name'] == 'pc'

    c.get('cont')
    c.until('RESUME')
    assert c.get('query-status')['status'] == 'running'
    for _ in range(100):
        time.sleep(0.1)
        c.get('screendump', filename=folder + '/screen.txt')
        if 'No bootable device' in open(folder + '/screen.txt').read():
            break
    else:
        raise AssertionError('the BIOS did not come to its end')
    c.get('stop')
    c.until('STOP')
    assert c.get('query-status')['status'] == 'paused'
    assert 'cs ' in c.get('human-monitor-command', command_line='info registers')
    assert 'no such command' in c.get('human-monitor-command', command_line='nonsense').lower()
    stats = {s['name']: s['value'] for s in c.get('query-stats', target='vm')[0]['stats']}
    assert stats['instructions'] > 10 and stats['class-out'] > 0, stats
    c.get('send-key', keys=[{'type': 'qcode', 'data': 'ctrl'}, {'type': 'qcode', 'data': 'a'}])
    c.get('input-send-event', events=[{'type': 'rel', 'data': {'axis': 'x', 'value': 5}},
                                      {'type': 'btn', 'data': {'down': True, 'button': 'left'}},
                                      {'type': 'key', 'data': {'down': True, 'key': {'type': 'qcode', 'data': 'b'}}}])
    c.get('eject', device='ide1-cd0')
    c.until('DEVICE_TRAY_MOVED')
    assert 'inserted' not in c.get('query-block')[0]
    c.get('blockdev-change-medium', id='ide1-cd0', filename=image)
    assert c.get('query-block')[0]['inserted']['ro']

    c.fails('CommandNotFound', 'nonsense', 'nonsense')
    c.fails('GenericError', "Parameter 'filename' is missing", 'screendump')
    c.fails('GenericError', "Parameter 'x' is unexpected", 'stop', x=1)
    c.fails('GenericError', "expected: integer", 'human-monitor-command', command_line='', cpu_index='0')
    c.fails('GenericError', 'cpu-index', 'human-monitor-command', command_line='', cpu_index=7)
    c.fails('DeviceNotFound', 'none', 'eject', device='none')
    c.fails('GenericError', 'no such file', 'blockdev-change-medium', device='ide1-cd0', filename='/none')
    c.fails('GenericError', 'hotplugging', 'device_add', driver='e1000', id='n')
    if 'virtio-balloon-pci' in options:
        assert c.get('query-balloon') == {'actual': 32 << 20}
        c.get('balloon', value=16 << 20)
        c.fails('GenericError', 'expects a size', 'balloon', value=-1)
    else:
        c.fails('DeviceNotActive', 'balloon', 'query-balloon')
    c.socket.sendall(b'{"execute": "stop" ,}\n[1]\nword\n{"execute": 5}{"execute":"stop","other":1}')
    for text in 'parse error', 'must be a JSON object', 'parse error', "lacks member 'execute'", "'other' is unexpected":
        assert text in c.read()['error']['desc'], text
    c.socket.sendall(b'{"execute": "' + b'x' * (1 << 20) + b'"}')
    assert 'too long' in c.read()['error']['desc']
    c.get('system_reset')
    c.until('RESET')

    c.socket.close()
    c.lines.close()
    c = Client()
    c.get('qmp_capabilities')
    c.get('quit')
    c.until('SHUTDOWN')
    assert machine.wait(20) == 0
finally:
    machine.kill()
    for name in os.listdir(folder):
        os.unlink(folder + '/' + name)
    os.rmdir(folder)
