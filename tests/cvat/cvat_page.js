// What CVAT's application offers to a plugin, and its dialog "Run actions", as far as a plugin meets them. Made after
// the facts of CVAT 2.73: window.cvatUI appears once the application has mounted, then "plugins.ready" is fired;
// the dialog runs an action with progress and a way to cancel, shows errors, and fetches annotations anew afterwards.
const settings = JSON.parse(document.getElementById('settings').textContent);
const token = () => document.cookie.match(/csrftoken=([^;]*)/)[1];
const element = (id) => document.getElementById(id);

async function api(path, options = {}) {
    const answer = await fetch(`/api/${path}`, {
        ...options, headers: { 'X-CSRFToken': token(), 'Content-Type': 'application/json' },
    });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
}

class Job {
    constructor(id) {
        this.id = id;
        this.startFrame = settings.start;
        this.stopFrame = settings.stop;
        this.shapes = [];
        this.unsaved = [];
        this.annotations = {
            save: async () => {
                const body = { version: 0, tags: [], tracks: [], shapes: this.unsaved };
                if (this.unsaved.length) {
                    await api(`jobs/${id}/annotations?action=create`, { method: 'PATCH', body: JSON.stringify(body) });
                }
                this.unsaved = [];
            },
            clear: async ({ reload }) => {
                if (reload) this.shapes = (await api(`jobs/${id}/annotations`)).shapes;
            },
            commit: async (created, deleted) => { this.committed = [created, deleted]; },
        };
    }
}

// The dialog asks for what an action declares, each by its name, and hands over numbers for numbers.
function fields(job, action) {
    return Object.entries(action.parameters ?? {}).map(([name, { type, values, defaultValue }]) => {
        const [min, max, step] = typeof values === 'function' ? values({ instance: job }) : values;
        const value = typeof defaultValue === 'function' ? defaultValue({ instance: job }) : defaultValue;
        if (type !== 'number' || ![min, max, step, value].every((one) => typeof one === 'string')) {
            throw new Error(`parameter ${name}`);
        }
        const field = Object.assign(document.createElement('input'), { type, min, max, step, value, name });
        return field;
    });
}

class BaseAction {}
class BaseCollectionAction extends BaseAction {}

const registered = [];
const actions = {
    list: async () => [...registered],
    register: async (action) => {
        if (!(action instanceof BaseAction)) throw new Error('Provided action must inherit one of base classes');
        registered.push(action);
        element('actions').append(new Option(action.name, action.name));
    },
    unregister: async (action) => { registered.splice(registered.indexOf(action), 1); },
    run: async (job, action, parameters, frame, onProgress, cancelled) => {
        try {
            await action.init(job, parameters);
            const exported = { shapes: job.shapes, tags: [], tracks: [] };
            const frameData = { width: 96, height: 72, number: frame };
            const collection = action.applyFilter({ collection: exported, frameData });
            const { created, deleted } = await action.run({ collection, frameData, onProgress, cancelled });
            await job.annotations.commit(created, deleted, frame);
        } finally {
            await action.destroy();
        }
    },
};

const state = { annotation: { player: { frame: { number: settings.frame } } }, organizations: { current: null } };
const store = { getState: () => state };
const dispatch = (action) => (typeof action === 'function' ? action() : action);
const actionCreators = {
    changeFrameAsync: (number) => async () => { state.annotation.player.frame = { number }; },
};
const core = { actions, classes: { BaseAction, BaseCollectionAction, Job } };
for (const path of settings.lacks) {
    const [object, name] = path.split('.').slice(-2);
    delete { actions: core.actions, classes: core.classes, actionCreators }[object]?.[name];
}

window.job = new Job(settings.job);
window.state = state;
let cancelling = false;

element('actions').onchange = () => {
    const action = registered.find((one) => one.name === element('actions').value);
    element('parameters').replaceChildren(...fields(window.job, action));
};
element('cancel').onclick = () => { cancelling = true; };
element('run').onclick = async () => {
    cancelling = false;
    element('dialog').dataset.running = 'yes';
    element('notification').textContent = '';
    try {
        const action = registered.find((one) => one.name === element('actions').value);
        const { number } = state.annotation.player.frame;
        const onProgress = (message, percent) => { element('progress').textContent = `${percent} % ${message}`; };
        const parameters = Object.fromEntries(
            [...element('parameters').children].map((field) => [field.name, Number(field.value)]),
        );
        await actions.run(window.job, action, parameters, number, onProgress, () => cancelling);
    } catch (error) {
        element('notification').textContent = error.message;
    } finally {
        element('dialog').dataset.running = '';
    }
};

setTimeout(() => {
    if (settings.lacks.includes('window.cvatUI')) return;
    Object.defineProperty(window, 'cvatUI', {
        value: Object.freeze({
            registerComponent: (builder) => {
                window.plugin = builder({
                    dispatch, REGISTER_ACTION: 'ADD', REMOVE_ACTION: 'REMOVE', actionCreators, core, store,
                });
            },
        }),
    });
    setTimeout(() => document.dispatchEvent(new CustomEvent('plugins.ready', { bubbles: true })));
}, 50);
